# Base images where none can be pulled, from Debian's packages: called by scripts/engine.py with one of them as target.
ARG SUITE
FROM debian:${SUITE}-slim AS apt
RUN printf 'APT::Install-Recommends "false";\nAcquire::Retries "3";\n' > /etc/apt/apt.conf.d/90soundbite

FROM apt AS node
RUN apt-get update -qq && apt-get install -y -qq libstdc++6 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && groupadd -g 1000 node && useradd -u 1000 -g node -m -s /bin/bash node
COPY bin/node /usr/local/bin/node
COPY lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
CMD ["node"]

FROM apt AS python
RUN apt-get update -qq && apt-get install -y -qq python3-venv && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
CMD ["python3"]

# In rehearsals hosts pull it again and again: nginx and bash with what they are linked to, busybox for the rest.
FROM apt AS linked
RUN apt-get update -qq && apt-get install -y -qq nginx busybox-static
WORKDIR /slim
RUN mkdir -p usr/bin usr/sbin usr/lib usr/lib64 run && install -d -m 1777 tmp \
    && for each in bin sbin lib lib64; do ln -s usr/$each $each; done \
    && cp -aL --parents $(ldd /usr/sbin/nginx /usr/bin/bash | grep -o '/lib[^ ]*') \
        /usr/sbin/nginx /usr/bin/bash /usr/bin/busybox . \
    && cp -a --parents /etc/nginx /etc/passwd /etc/group /etc/ssl /usr/share/ca-certificates \
        /var/lib/nginx /var/log/nginx /usr/share/nginx . \
    && for each in $(busybox --list | grep -vx busybox); do ln -s busybox usr/bin/$each; done

FROM scratch AS nginx
COPY --from=linked /slim /
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
