"""CloudFormation: templates, stacks and what is done about them. Pure: time is given, AWS is asked by a port.

    engine = Engine(cloud, TYPES, region=, account=, seed=0, now=, patience=30.0)   # cloud.call(service, action, parameters)
    engine.advance(now); engine.next_due() -> float | None     # whoever owns the loop calls them; calls only begin things
    engine.create_stack(name, Wish(template, parameters, tags, capabilities), on_failure=, token=) -> id
    engine.update_stack(name, wish) -> id; engine.delete_stack(name, retain=()); engine.cancel_update(name); …
    engine.create_change_set(stack, name, "CREATE" | "UPDATE", wish) -> ChangeSet; engine.execute_change_set(name, stack)
    engine.stack(name or id) -> Stack: status, reason, outputs, resources, events (oldest first)

The layers, each knowing only those before it: template_text (YAML, JSON), functions and references (values and names),
template and parameters (what is well formed), scope (what names stand for), exports (what stacks give each other), meaning (what
a template comes to in its stack), jobs (order), deeds (what is done to a resource), progress (phases of an operation), plan (what
would be done), engine. `types` is one small class for each type of resource.
"""

from vpclab.cloudformation.engine import Engine, Wish
from vpclab.cloudformation.resource_type import Cloud, Context, ResourceType

__all__ = ["Cloud", "Context", "Engine", "ResourceType", "Wish"]
