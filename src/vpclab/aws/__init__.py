"""The region on the wire: EC2 query protocol and IMDS.

    log = CallLog()
    ec2 = ec2_app(region, clock, instance_of=…, log=log, on_change=…)      # ASGI; clock() is seconds since the epoch
    imds = imds_app(region, clock, instance_of, role=NODE_ROLE, v1=False)   # ASGI; instance_of(client address) -> instance id | None
    serving = await serve(ec2, listening_socket); await serving.stop()

Everything runs in the asyncio loop that owns the region: no locks. Each request first advances the region to clock();
`on_change` is called after one that left changes to drain. What is due by itself (region.next_due()) is the caller's to advance.
log.calls(action, instance_id=) -> tuple[Call, ...] (source, instance, action, error code, seconds); log.counts[action, code].
"""

from vpclab.aws.call_log import Call, CallLog
from vpclab.aws.ec2 import Ec2, ec2_app
from vpclab.aws.imds import Imds, imds_app
from vpclab.serving import Serving, serve

__all__ = ["Call", "CallLog", "Ec2", "Imds", "Serving", "ec2_app", "imds_app", "serve"]
