"""The region on the wire: AWS's services behind one endpoint, and IMDS.

    cloud = cloud_of(region)                                            # the region, the services' states, the known keys
    api = Endpoint(cloud, clock, instance_of=…, log=CallLog(), on_change=…, strict_auth=False)      # ASGI, for every service
    imds = imds_app(region, clock, instance_of, role=NODE_ROLE)   # ASGI; instance_of(client address) -> instance id | None
    serving = await serve(api, listening_socket); await serving.stop()

clock() is seconds since the epoch. Which service a request is for says its signature's scope, else its host, target, version or
path (which.py); the protocol is the one of botocore's model of the service (protocols/), the operations are the service's registry.
How an operation or a service is added stands at the top of service.py.

Everything runs in the asyncio loop that owns the region: no locks. Each request first advances the region to clock();
`on_change` is called after one that left changes to drain. What is due by itself (region.next_due()) is the caller's to advance.
Faults, rate limits and latency (region.gate) hold for every service: EC2's calls by their action, others' as SERVICE:ACTION.
log.calls(action, instance_id=) -> tuple[Call, ...] (source, instance, service, action, error code, seconds); log.counts[name, code].
"""

from vpclab.aws.call_log import Call, CallLog
from vpclab.aws.endpoint import Endpoint
from vpclab.aws.imds import Imds, imds_app
from vpclab.aws.service import Cloud, Context, Service
from vpclab.aws.services import cloud_of, host_names
from vpclab.serving import Serving, serve

__all__ = [
    "Call",
    "CallLog",
    "Cloud",
    "Context",
    "Endpoint",
    "Imds",
    "Service",
    "Serving",
    "cloud_of",
    "host_names",
    "imds_app",
    "serve",
]
