"""What a person finds on the lab's machines: a shell with the study's tools on the bastion, sshd and sudo on the nodes."""

from vpclab.bastion.equip import Desk, equip_bastion, equip_node
from vpclab.bastion.kit import Kit, gather_kit

__all__ = ["Desk", "Kit", "equip_bastion", "equip_node", "gather_kit"]
