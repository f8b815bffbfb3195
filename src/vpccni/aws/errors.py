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
    "RequestThrottled": Reason.THROTTLED,
    "RequestThrottledException": Reason.THROTTLED,
    "TooManyRequestsException": Reason.THROTTLED,
    "EC2ThrottledException": Reason.THROTTLED,
    "UnauthorizedOperation": Reason.NOT_AUTHORISED,
    "AccessDenied": Reason.NOT_AUTHORISED,
    "AccessDeniedException": Reason.NOT_AUTHORISED,
    "AuthFailure": Reason.NOT_AUTHORISED,
    "Blocked": Reason.NOT_AUTHORISED,
    "ExpiredToken": Reason.NOT_AUTHORISED,
    "ExpiredTokenException": Reason.NOT_AUTHORISED,
    "IDPCommunicationError": Reason.EC2_UNREACHABLE,
    "IDPRejectedClaim": Reason.NOT_AUTHORISED,
    "IncompleteSignature": Reason.NOT_AUTHORISED,
    "InvalidClientTokenId": Reason.NOT_AUTHORISED,
    "InvalidIdentityToken": Reason.NOT_AUTHORISED,
    "MissingAuthenticationToken": Reason.NOT_AUTHORISED,
    "OptInRequired": Reason.NOT_AUTHORISED,
    "PendingVerification": Reason.NOT_AUTHORISED,
    "RequestExpired": Reason.NOT_AUTHORISED,
    "SignatureDoesNotMatch": Reason.NOT_AUTHORISED,
    "UnrecognizedClientException": Reason.NOT_AUTHORISED,
    "RequestTimeout": Reason.EC2_UNREACHABLE,
    "ServiceUnavailable": Reason.EC2_UNREACHABLE,
    "Unavailable": Reason.EC2_UNREACHABLE,
}
NOT_ENOUGH = "There aren't sufficient free Ipv4 addresses or prefixes"
"""EC2 says this with InvalidParameterValue when a subnet is full (aws-emulation 4.4)."""
NO_SUCH_ENI = "InvalidNetworkInterfaceID.NotFound"
ENCODED = "Encoded authorization failure message"
"""What follows is a kilobyte that only `aws sts decode-authorization-message` can read: no use in a pod's event."""


class Ec2Error(Exception):
    """An EC2 call came to nothing: which, what EC2 said, and what that means to the pool."""

    def __init__(
        self,
        action: str,
        code: str,
        message: str,
        refusal: Refusal,
        *,
        subnet: str | None = None,
        unsure: bool = False,
    ) -> None:
        super().__init__(f"ec2:{action}: {code}: {message}")
        self.action = action
        """The EC2 action that was asked for, without the service's name."""
        self.code = code
        """EC2's error code; NoCredentials, Unreachable or Unreadable where EC2 did not say any."""
        self.message = message
        self.refusal = refusal
        self.subnet = subnet
        """The subnet the call was about, where the call names one."""
        self.unsure = unsure
        """EC2 may have done it all the same: the answer was lost or EC2 failed half-way."""


def failure(
    action: str,
    code: str,
    message: str,
    *,
    subject: str = "",
    subnet: str | None = None,
    prefixes: bool = False,
    asked: str | None = None,
    status: int = 400,
) -> Ec2Error:
    """The failure of one call that was answered.

    `subject` is the ENI, subnet or attachment it was about; `asked` the call that failed where it is not the action itself
    ("sts:AssumeRoleWithWebIdentity"); `status` HTTP's, whose 5xx leave open what was done.
    """
    message = message.split(ENCODED, 1)[0].rstrip(". ") or message
    about = f"{subject}: " if subject else ""
    refusal = Refusal(
        _reason(code, message, prefixes=prefixes),
        f"{about}{asked or f'ec2:{action}'} answered {code}: {message}",
    )
    unsure = status >= 500 and refusal.reason is not Reason.THROTTLED
    return Ec2Error(action, code, message, refusal, subnet=subnet, unsure=unsure)


def unreachable(
    action: str, cause: str, *, subject: str = "", subnet: str | None = None, unsure: bool
) -> Ec2Error:
    """The failure of one call that was not answered; `unsure` if EC2 may have got it."""
    about = f"{subject}: " if subject else ""
    refusal = Refusal(Reason.EC2_UNREACHABLE, f"{about}ec2:{action} was not answered: {cause}")
    return Ec2Error(action, "Unreachable", cause, refusal, subnet=subnet, unsure=unsure)


def no_credentials(action: str, cause: str) -> Ec2Error:
    """The failure of one call that could not be signed."""
    refusal = Refusal(Reason.NOT_AUTHORISED, f"ec2:{action} was not sent, there are no credentials: {cause}")
    return Ec2Error(action, "NoCredentials", cause, refusal)


def _reason(code: str, message: str, *, prefixes: bool) -> Reason:
    if code.startswith("Throttling"):
        return Reason.THROTTLED
    full = code == "InvalidParameterValue" and NOT_ENOUGH.lower() in message.lower()
    reason = Reason.SUBNET_FULL if full else CODES.get(code, Reason.EC2_ERROR)
    # EC2 has one sentence for both; whoever asked for prefixes lacks an aligned /28, addresses there may still be
    return Reason.NO_FREE_PREFIX if prefixes and reason is Reason.SUBNET_FULL else reason
