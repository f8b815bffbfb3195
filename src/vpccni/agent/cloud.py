"""EC2 for this node: knows the instance, its subnet, groups and tags; the client is made when it is first needed."""

from __future__ import annotations

import logging
import threading
import time

from vpccni.agent.settings import Settings
from vpccni.aws.ec2 import Ec2, NewEni
from vpccni.aws.eni_lifecycle import attach_new_eni, remove_eni
from vpccni.aws.imds import NodeFacts
from vpccni.aws.tags import description, eni_tags
from vpccni.ipam.actions import AttachEni
from vpccni.ipam.limits import InstanceLimits
from vpccni.ipam.values import AttachedEni, Block, BlockKind, Eni, EniId, SubnetId, SubnetOffer

log = logging.getLogger(__name__)


class NodeCloud:
    """The pool's actions as EC2 calls of this node. Blocking; used from the performer's threads."""

    def __init__(self, settings: Settings, facts: NodeFacts, primary: Eni) -> None:
        self._settings = settings
        self._facts = facts
        self._primary = primary
        self._client: Ec2 | None = None
        self._making = threading.Lock()  # two threads must not load botocore twice

    @property
    def ec2(self) -> Ec2:
        """The client; the first use takes a fifth of a second."""
        with self._making:
            if self._client is None:
                self._client = Ec2(
                    self._facts.region,
                    endpoint_url=self._settings.ec2_endpoint,
                    timeout=self._settings.http_timeout,
                )
                log.info("EC2 client ready for %s", self._facts.region)
            return self._client

    def limits(self) -> InstanceLimits:
        """What EC2 says of a type that the data file does not know."""
        return self.ec2.instance_limits(self._facts.instance_type)

    def assign(self, eni: EniId, count: int, kind: BlockKind) -> tuple[Block, ...]:
        """More blocks on an ENI."""
        return self.ec2.assign(eni, count, kind)

    def attach(self, action: AttachEni) -> AttachedEni:
        """A new ENI in the primary's subnet with the primary's groups (spec 6.11, discovery off)."""
        new = NewEni(
            subnet=self._primary.subnet_id,
            groups=self._facts.security_groups,
            description=description(self._facts.instance_id),
            tags=eni_tags(
                self._facts.instance_id,
                self._settings.cluster_name,
                time.time(),
                self._settings.additional_eni_tags,
            ),
            count=action.count,
            kind=action.kind,
        )
        return attach_new_eni(
            self.ec2,
            new,
            instance=self._facts.instance_id,
            device_index=action.device_index,
            network_card=action.network_card,
            subnet_cidr=self._primary.subnet_cidr,
        )

    def find_subnets(self) -> tuple[tuple[SubnetOffer, ...], frozenset[SubnetId]]:
        """The primary's subnet."""
        return (SubnetOffer(self._primary.subnet_id, self._primary.subnet_cidr),), frozenset()

    def release(self, eni: EniId, blocks: tuple[Block, ...]) -> None:
        """Give blocks back."""
        self.ec2.unassign(eni, blocks)

    def remove(self, eni: EniId) -> None:
        """Detach and delete."""
        remove_eni(self.ec2, eni)
