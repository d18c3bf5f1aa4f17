"""What runs on a host: one step a call, told on stdin and answered on stdout, both JSON. Python's own library only.

    python3 agent.pyz VERB < ORDER.json
    python3 agent.pyz serve              (any number of steps: serving.py)

The folder that the archive lies in is all that it knows: the deployments that the host has, two colours (one of which
serves), and the proxy. The proxy reaches the application by a unix socket behind the link `colours/live`; pointing the
link to the other colour is the switch. It takes effect with the next request, and no connection of a client notices.

Each verb may be called again whatever became of the call before. A lock lets one work at a time; an order with a lower
token than the host has seen is refused, so that who lost the environment's lock cannot go on.
"""
