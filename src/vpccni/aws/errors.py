"""EC2's errors as typed reasons (aws-emulation 4.4, spec 6.7)."""

from __future__ import annotations

from vpccni.ipam.reasons import Reason, Refusal

CODES = {
    "InsufficientCidrBlocks": Reason.NO_FREE_PREFIX,
    "InsufficientFreeAddressesInSubnet": Reason.SUBNET_FULL,
    "PrivateIpAddressLimitExceeded": Reason.IP_LIMIT,
    "AttachmentLimitExceeded": Reason.ENI_LIMIT,
    "NetworkInterfaceLimitExceeded": Reason.ENI_LIMIT,
    "RequestLimitExceeded": Reason.THROTTLED,
    "Throttling": Reason.THROTTLED,
    "ThrottlingException": Reason.THROTTLED,
    "RequestThrottled": Reason.THROTTLED,
    "UnauthorizedOperation": Reason.NOT_AUTHORISED,
    "AccessDenied": Reason.NOT_AUTHORISED,
    "AccessDeniedException": Reason.NOT_AUTHORISED,
    "AuthFailure": Reason.NOT_AUTHORISED,
    "InvalidClientTokenId": Reason.NOT_AUTHORISED,
    "ExpiredToken": Reason.NOT_AUTHORISED,
    "RequestExpired": Reason.NOT_AUTHORISED,
    "OptInRequired": Reason.NOT_AUTHORISED,
    "RequestTimeout": Reason.EC2_UNREACHABLE,
    "ServiceUnavailable": Reason.EC2_UNREACHABLE,
    "Unavailable": Reason.EC2_UNREACHABLE,
}
NOT_ENOUGH = "There aren't sufficient free Ipv4 addresses or prefixes"
"""EC2 says this with InvalidParameterValue when a subnet is full (aws-emulation 4.4)."""
NO_SUCH_ENI = "InvalidNetworkInterfaceID.NotFound"


class Ec2Error(Exception):
    """An EC2 call came to nothing."""

    def __init__(self, action: str, code: str, message: str, refusal: Refusal) -> None:
        super().__init__(f"ec2:{action}: {code}: {message}")
        self.action = action
        self.code = code
        self.message = message
        self.refusal = refusal


def failure(action: str, code: str, message: str, *, subject: str = "", prefixes: bool = False) -> Ec2Error:
    """The failure of one call; `subject` is the ENI or subnet it was about."""
    if code == "InvalidParameterValue" and NOT_ENOUGH in message:
        reason = Reason.NO_FREE_PREFIX if prefixes else Reason.SUBNET_FULL
    else:
        reason = CODES.get(code, Reason.EC2_ERROR)
    about = f"{subject}: " if subject else ""
    return Ec2Error(action, code, message, Refusal(reason, f"{about}ec2:{action} answered {code}: {message}"))
