"""Why a pod has no address: one enum, carried from EC2's error to the CNI's answer, the log and the metric."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """What keeps a pod from getting an address, or the pool from growing.

    The value is the metric label and the `details` prefix of the CNI error; it never changes once published.
    """

    AGENT_UNREACHABLE = "AgentUnreachable"
    AGENT_STARTING = "AgentStarting"
    POOL_REFILLING = "PoolRefilling"
    ALL_COOLING = "AllCooling"
    MAX_PODS = "MaxPods"
    IP_LIMIT = "IpLimit"
    ENI_LIMIT = "EniLimit"
    SUBNET_FULL = "SubnetFull"
    NO_FREE_PREFIX = "NoFreePrefix"
    THROTTLED = "Throttled"
    NOT_AUTHORISED = "NotAuthorised"
    EC2_UNREACHABLE = "Ec2Unreachable"
    EC2_ERROR = "Ec2Error"
    ENI_NOT_VISIBLE = "EniNotVisible"
    NO_USABLE_SUBNET = "NoUsableSubnet"
    PROVISIONING_OFF = "ProvisioningOff"
    NODE_UNSCHEDULABLE = "NodeUnschedulable"
    CHECKPOINT_FAILED = "CheckpointFailed"
    HOST_SETUP_FAILED = "HostSetupFailed"
    ENI_CONFIG_MISSING = "EniConfigMissing"
    API_SERVER = "ApiServer"
    BRANCH_ENI_AWAITED = "BranchEniAwaited"

    @property
    def advice(self) -> str:
        """The sentence that tells a person what to do."""
        return _ADVICE[self]


_ADVICE = {
    Reason.AGENT_UNREACHABLE: (
        "The agent does not answer on /var/run/aws-node/cni.sock: look at the aws-node pod of this node and at "
        "/var/log/aws-routed-eni/ipamd.log; kubelet tries again by itself."
    ),
    Reason.AGENT_STARTING: (
        "The agent is still starting; kubelet tries again by itself. If it lasts, ipamd.log names the phase it is in."
    ),
    Reason.POOL_REFILLING: (
        "EC2 was asked for addresses and has not answered in time; kubelet tries again by itself. "
        "A larger warm target (WARM_IP_TARGET, MINIMUM_IP_TARGET) hides this wait."
    ),
    Reason.ALL_COOLING: (
        "Every free address was given back less than IP_COOLDOWN_PERIOD ago; one will be free within that time. "
        "Pods that come and go this fast want a larger MINIMUM_IP_TARGET."
    ),
    Reason.MAX_PODS: (
        "The pool already holds as many addresses as the node's maximum number of pods: raise kubelet's max pods "
        "(VPC_CNI_MAX_PODS where no API server tells it), or run fewer pods here."
    ),
    Reason.IP_LIMIT: (
        "Every ENI holds as many addresses as the instance type allows: use a larger type, or "
        "ENABLE_PREFIX_DELEGATION=true on a Nitro type; set kubelet's max pods to the node's real limit."
    ),
    Reason.ENI_LIMIT: (
        "The node has as many ENIs as its instance type or MAX_ENI allows, and all are full: raise MAX_ENI, use a larger "
        "type, or ENABLE_PREFIX_DELEGATION=true on a Nitro type; set kubelet's max pods to the node's real limit."
    ),
    Reason.SUBNET_FULL: (
        "The subnet has no free address left: free some (lower WARM_ENI_TARGET or set WARM_IP_TARGET on other nodes), or "
        "add a subnet tagged kubernetes.io/role/cni=1 or a secondary CIDR."
    ),
    Reason.NO_FREE_PREFIX: (
        "The subnet has free addresses but no free aligned /28: reserve a range for prefixes "
        "(aws ec2 create-subnet-cidr-reservation --reservation-type prefix) or use a fresh subnet."
    ),
    Reason.THROTTLED: (
        "EC2 refuses calls at this rate (RequestLimitExceeded); the agent backs off and tries again by itself. "
        "If it lasts, ask AWS for a higher request rate or raise the warm targets so that fewer calls are made."
    ),
    Reason.NOT_AUTHORISED: (
        "The node's role may not make this EC2 call: attach the AmazonEKS_CNI_Policy to it or to aws-node's service "
        "account; the log names the action."
    ),
    Reason.EC2_UNREACHABLE: (
        "The EC2 API does not answer: check the node's route to it (internet gateway, NAT gateway or VPC endpoint), "
        "DNS and security groups."
    ),
    Reason.EC2_ERROR: "EC2 refused the call with an error the agent has no better name for; the log has its code and message.",
    Reason.ENI_NOT_VISIBLE: (
        "An ENI was attached but its device has not appeared on the node; the agent goes on waiting. "
        "If it lasts, reboot or replace the node."
    ),
    Reason.NO_USABLE_SUBNET: (
        "No subnet of the node's zone may be used for pods: tag one with kubernetes.io/role/cni=1, or take the tag "
        "kubernetes.io/role/cni=0 off the node's own subnet; with cni.networking.k8s.aws/cluster/<name> tags, one must "
        "name this cluster."
    ),
    Reason.PROVISIONING_OFF: (
        "DISABLE_NETWORK_RESOURCE_PROVISIONING or ENABLE_IMDS_ONLY_MODE is set: the agent asks EC2 for nothing, so "
        "whoever provides this node's ENIs and addresses must add some."
    ),
    Reason.NODE_UNSCHEDULABLE: (
        "The node is cordoned and AWS_MANAGE_ENIS_NON_SCHEDULABLE is false, so no address is added: uncordon it."
    ),
    Reason.CHECKPOINT_FAILED: (
        "The assignment could not be written to /var/run/aws-node: check free space and permissions there. "
        "Nothing was assigned."
    ),
    Reason.HOST_SETUP_FAILED: "The pod's interface, routes or rules could not be set up; the message has the kernel's error.",
    Reason.ENI_CONFIG_MISSING: (
        "Custom networking is on, but the node's ENIConfig is not to be had: create the one that is named (one per zone is "
        "usual), or correct the node's label or annotation that names it; existing ENIs go on serving their pods."
    ),
    Reason.API_SERVER: (
        "ENABLE_POD_ENI is set, so the API server must say of each pod whether it has security groups of its own, and it "
        "does not: check CLUSTER_ENDPOINT or KUBERNETES_SERVICE_HOST, the node's way to it, and that aws-node's service "
        "account may get pods; kubelet tries again by itself."
    ),
    Reason.BRANCH_ENI_AWAITED: (
        "The pod has security groups of its own (a SecurityGroupPolicy selects it) and needs a branch ENI, which the VPC "
        "resource controller makes and writes on the pod; kubelet tries again by itself. If it lasts, look at the pod's "
        "events and at the node's CNINode, and whether the instance type takes a trunk ENI."
    ),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision's "no": the reason, and what it was about (which subnet, ENI, limit, code)."""

    reason: Reason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}" if self.detail else self.reason.value
