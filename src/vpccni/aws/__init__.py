"""EC2 and instance metadata: what AWS says, as ipam's values; what went wrong, as ipam's reasons.

Everything blocks and is used in worker threads. botocore is loaded by the first call to EC2, not by any import here.

imds.py
    Imds(endpoint=None, *, timeout=5.0): .get(path) -> str | None, .close(). Raises ImdsError(.path, .status, .advice)
    node_facts(imds) -> NodeFacts; attached_enis(imds) -> (AttachedEni, …), the primary first
    eni_by_mac(imds, mac) -> AttachedEni | None
ec2.py
    Ec2(region, *, endpoint_url=None, timeout=10.0, calls=CallLog(), budget=CallBudget()); every call raises Ec2Error
    .assign(eni, count, kind) -> (Block, …), .unassign(eni, blocks)
    .create_eni(NewEni) -> CreatedEni, .attach(eni, instance, device_index, network_card) -> attachment id
    .delete_on_termination(eni, attachment), .detach(attachment), .delete_eni(eni)
    .describe_enis(ids=None, *, instance=None) -> (DescribedEni, …)
    .describe_subnets(vpc, zone) -> (DescribedSubnet, …), the emptiest first
    .instance_limits(type) -> InstanceLimits; .calls -> CallLog; .close()
eni_lifecycle.py
    attach_new_eni(ec2, new, *, instance, device_index, network_card, subnet_cidr, sleep=time.sleep) -> AttachedEni
    remove_eni(ec2, eni, *, sleep=time.sleep)
errors.py
    Ec2Error(.action, .code, .message, .refusal, .subnet, .unsure)
tags.py
    eni_tags(instance, cluster, now, additional=()) -> ((key, value), …); description(instance) -> str
budget.py, call_log.py
    CallBudget(share): .take(action, now) -> seconds to wait, .throttled(…), .accepted(…), .pace(action), .levels(now)
    CallLog(): .record(action, code, seconds, status=None), .tallies() -> {(action, code): Tally}, .count(action),
        .latencies() -> {Kind: Histogram}, .answer_age
port.py, fake_ec2.py, fake_imds.py
    Ec2Port and ImdsPort, and FakeEc2(subnets) and FakeImds(documents) that meet them in memory
"""
