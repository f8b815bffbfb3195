"""One instance of the lab: its boot, the real agent, and a runtime that calls CNI plugins as libcni does.

place = await boot_place(name, root); await write_hosts(place, region, machines)
await configure_network(place, instance_id, region)        # once the fabric has plugged its ENI in
agent = AgentProcess(place, agent_environment(name, region, extra))
node = Node(name, instance_id, place, agent, Runtime(place))
await node.start(); await node.wait_ready()                # NodeNotReadyError
pod = await node.add_pod(namespace, name, capabilities)    # -> PodRecord; CniError, NoNetworkError
await node.runtime.check(pod.sandbox)                      # also status(), collect_garbage(valid)
await node.delete_pod(namespace, name)
await node.stop()
"""

from vpclab.node.agent_process import AgentProcess
from vpclab.node.boot import (
    agent_environment,
    boot_place,
    configure_network,
    ec2_name,
    install_image,
    write_hosts,
)
from vpclab.node.conflist import ConfList, NoNetworkError, first_conflist
from vpclab.node.node import PATIENCE, Machine, Node, NodeDownError, NodeNotReadyError, PodRecord
from vpclab.node.plugin_call import CniError
from vpclab.node.runtime import Runtime
from vpclab.node.sandbox import Sandbox

__all__ = [
    "PATIENCE",
    "AgentProcess",
    "CniError",
    "ConfList",
    "Machine",
    "NoNetworkError",
    "Node",
    "NodeDownError",
    "NodeNotReadyError",
    "PodRecord",
    "Runtime",
    "Sandbox",
    "agent_environment",
    "boot_place",
    "configure_network",
    "ec2_name",
    "first_conflist",
    "install_image",
    "write_hosts",
]
