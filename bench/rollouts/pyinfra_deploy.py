"""The same host steps with pyinfra: ORDER=ORDER.json pyinfra -y pyinfra_inventory.py pyinfra_deploy.py."""

from pyinfra import host  # type: ignore[import-not-found]
from pyinfra.operations import files, server  # type: ignore[import-not-found]

_order = host.data.order
_site, _colour, _old, _image = _order["site"], _order["colour"], _order["old"], _order["image"]

files.sync(name="Upload compose files and settings", src=_order["folder"], dest=f"{_site}/{_colour}")
server.shell(
    name="Fetch the image unless it is there",
    commands=[f"docker image inspect {_image} >/dev/null || docker pull --quiet {_image}"],
    _sudo=True,
)
server.shell(
    name="Start the idle colour",
    commands=[f"cd {_site}/{_colour} && docker compose up --detach --force-recreate"],
    _sudo=True,
)
server.shell(name="Wait until it is healthy", commands=[f"python3 {_site}/await.py {_site}/colours/{_colour}/app.sock"])
server.shell(name="Switch", commands=[f"cd {_site}/colours && ln -s {_colour} new && mv -T new live"])
server.shell(name="Drain", commands=[f"sleep {_order['drain']}"])
server.shell(name="Stop the old colour", commands=[f"cd {_site}/{_old} && docker compose down"], _sudo=True)
