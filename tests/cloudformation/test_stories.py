"""A template, what is done with it, and the events that come of that."""

import json

import pytest

from tests.cloudformation.toys import ToyCloud, created, engine_of, run, told
from vpclab.cloudformation import Engine, Wish
from vpclab.region.values import ApiError

THREE = """
Parameters:
  Size: {Type: Number, Default: 1}
  Kind: {Type: String, Default: plain}
Resources:
  Roof:
    Type: Toy::Box::Thing
    Properties: {Needs: [!Ref Wall], Size: !Ref Size}
  Wall:
    Type: Toy::Box::Thing
    Properties: {Needs: [!GetAtt Ground.Arn], Kind: !Ref Kind}
  Ground:
    Type: Toy::Box::Thing
    Properties: {Takes: 3}
Outputs:
  Arn:
    Value: !GetAtt Roof.Arn
    Description: of the roof
    Export: {Name: !Sub "${AWS::StackName}-roof"}
"""


@pytest.fixture
def cloud() -> ToyCloud:
    return ToyCloud()


@pytest.fixture
def engine(cloud: ToyCloud) -> Engine:
    return engine_of(cloud, patience=2.0)


def test_made_in_order_with_every_event(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    assert told(stack) == [
        "demo CREATE_IN_PROGRESS: User Initiated",
        "Ground CREATE_IN_PROGRESS",
        "Ground CREATE_IN_PROGRESS: Resource creation Initiated",
        "Ground CREATE_COMPLETE",
        "Wall CREATE_IN_PROGRESS",
        "Wall CREATE_IN_PROGRESS: Resource creation Initiated",
        "Wall CREATE_COMPLETE",
        "Roof CREATE_IN_PROGRESS",
        "Roof CREATE_IN_PROGRESS: Resource creation Initiated",
        "Roof CREATE_COMPLETE",
        "demo CREATE_COMPLETE",
    ]
    assert stack.outputs[0].value == f"arn:{stack.resources['Roof'].physical_id}"
    assert engine.progress.exports.by_name["demo-roof"] == (stack.id, stack.outputs[0].value)
    ground = next(e for e in stack.events if e.status == "CREATE_COMPLETE")
    assert ground.at == pytest.approx(1003.0, abs=0.2), "a stack takes the time that its resources take"
    assert json.loads(ground.properties) == {"Takes": 3}


def test_what_nothing_orders_is_made_at_once(engine: Engine) -> None:
    stack = created(
        engine,
        "Resources: {A: {Type: Toy::Box::Thing, Properties: {Takes: 5}}, B: {Type: Toy::Box::Thing, Properties: {Takes: 5}}}",
    )
    assert stack.events[-1].at == pytest.approx(1005.0, abs=0.2)
    assert told(stack)[1:5] == [
        "A CREATE_IN_PROGRESS",
        "A CREATE_IN_PROGRESS: Resource creation Initiated",
        "B CREATE_IN_PROGRESS",
        "B CREATE_IN_PROGRESS: Resource creation Initiated",
    ]


def test_a_failure_is_told_and_everything_is_rolled_back(engine: Engine, cloud: ToyCloud) -> None:
    cloud.broken = {"Roof"}
    stack = created(engine, THREE)
    why = [e for e in stack.events if e.status == "CREATE_FAILED"]
    assert [e.logical_id for e in why] == ["Roof"]
    assert why[0].reason.startswith(
        "Resource handler returned message: \"Roof can't be made (Service: Lab, Status Code: 400,"
    )
    assert "HandlerErrorCode: InvalidRequest)" in why[0].reason
    assert told(stack)[9:] == [
        "demo ROLLBACK_IN_PROGRESS: The following resource(s) failed to create: [Roof]. Rollback requested by user.",
        "Roof DELETE_IN_PROGRESS",
        "Roof DELETE_COMPLETE",
        "Wall DELETE_IN_PROGRESS",
        "Wall DELETE_COMPLETE",
        "Ground DELETE_IN_PROGRESS",
        "Ground DELETE_COMPLETE",
        "demo ROLLBACK_COMPLETE",
    ]
    assert not cloud.things
    with pytest.raises(ApiError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        engine.update_stack("demo", Wish(THREE))


def test_what_is_under_way_when_another_fails_is_cancelled(engine: Engine, cloud: ToyCloud) -> None:
    cloud.broken = {"Bad"}
    stack = created(
        engine,
        "Resources: {Slow: {Type: Toy::Box::Thing, Properties: {Takes: 50}}, Bad: {Type: Toy::Box::Thing}}",
    )
    assert "Slow CREATE_FAILED: Resource creation cancelled" in told(stack)
    assert stack.status == "ROLLBACK_COMPLETE"
    assert not cloud.things


@pytest.mark.parametrize(
    ("on_failure", "status"), [("DO_NOTHING", "CREATE_FAILED"), ("DELETE", "DELETE_COMPLETE")]
)
def test_on_failure(engine: Engine, cloud: ToyCloud, on_failure: str, status: str) -> None:
    cloud.broken = {"Roof"}
    stack_id = engine.create_stack("demo", Wish(THREE), on_failure=on_failure)
    run(engine)
    assert engine.stack(stack_id).status == status
    assert bool(cloud.things) == (on_failure == "DO_NOTHING")


def test_a_stack_that_takes_too_long(engine: Engine) -> None:
    text = "Resources: {Slow: {Type: Toy::Box::Thing, Properties: {Takes: 600}}}"
    engine.create_stack("demo", Wish(text), timeout_minutes=1)
    run(engine)
    stack = engine.stack("demo")
    assert stack.status == "ROLLBACK_COMPLETE"
    assert (
        "demo ROLLBACK_IN_PROGRESS: Stack creation time exceeded the specified timeout. Rollback requested by user."
        in told(stack)
    )


def test_update_in_place_replacement_and_cleanup(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    wall, ground = stack.resources["Wall"].physical_id, stack.resources["Ground"].physical_id
    roof = stack.resources["Roof"].physical_id
    seen = len(stack.events)
    engine.update_stack("demo", Wish(None, {"Size": "2", "Kind": None}))
    run(engine)
    assert told(stack, seen) == [
        "demo UPDATE_IN_PROGRESS: User Initiated",
        "Roof UPDATE_IN_PROGRESS",
        "Roof UPDATE_COMPLETE",
        "demo UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "demo UPDATE_COMPLETE",
    ]
    assert stack.resources["Roof"].physical_id == roof
    seen = len(stack.events)
    engine.update_stack("demo", Wish(None, {"Size": None, "Kind": "new"}))
    run(engine)
    replacing = "Requested update requires the creation of a new physical resource; hence creating one."
    assert told(stack, seen) == [
        "demo UPDATE_IN_PROGRESS: User Initiated",
        f"Wall UPDATE_IN_PROGRESS: {replacing}",
        "Wall UPDATE_IN_PROGRESS: Resource creation Initiated",
        "Wall UPDATE_COMPLETE",
        f"Roof UPDATE_IN_PROGRESS: {replacing}",
        "Roof UPDATE_IN_PROGRESS: Resource creation Initiated",
        "Roof UPDATE_COMPLETE",
        "demo UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "Roof DELETE_IN_PROGRESS",
        "Roof DELETE_COMPLETE",
        "Wall DELETE_IN_PROGRESS",
        "Wall DELETE_COMPLETE",
        "demo UPDATE_COMPLETE",
    ]
    assert {wall, roof}.isdisjoint(cloud.things)
    assert ground in cloud.things
    assert len(cloud.things) == 3


def test_a_failed_update_puts_everything_back(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    before = {name: one.physical_id for name, one in stack.resources.items()}
    cloud.broken = {"Tower"}
    more = THREE.replace("Takes: 3", "Takes: 4").replace(
        "Outputs:", "  Tower:\n    Type: Toy::Box::Thing\n    DependsOn: Roof\nOutputs:"
    )
    seen = len(stack.events)
    engine.update_stack("demo", Wish(more, {"Kind": "new"}))
    run(engine)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert {name: one.physical_id for name, one in stack.resources.items()} == before
    assert set(before.values()) == set(cloud.things)
    statuses = [one for one in told(stack, seen) if one.startswith("demo")]
    assert statuses == [
        "demo UPDATE_IN_PROGRESS: User Initiated",
        "demo UPDATE_ROLLBACK_IN_PROGRESS: The following resource(s) failed to update: [Tower]. ",
        "demo UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
        "demo UPDATE_ROLLBACK_COMPLETE",
    ]
    assert stack.resources["Ground"].properties == {"Takes": 3}
    assert stack.intent is not None
    assert stack.intent.parameters["Kind"].value == "plain"


def test_an_undoing_that_fails_can_be_continued(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    more = THREE.replace("Outputs:", "  Tower:\n    Type: Toy::Box::Thing\n    DependsOn: Roof\nOutputs:")
    more = more.replace("Size: !Ref Size", "Size: 9, Takes: 5")
    engine.update_stack("demo", Wish(more))
    engine.advance(1004.0)
    cloud.broken = {"Roof", "Tower"}
    run(engine)
    assert stack.status == "UPDATE_ROLLBACK_FAILED"
    with pytest.raises(ApiError, match="UPDATE_ROLLBACK_FAILED state and can not be updated"):
        engine.update_stack("demo", Wish(THREE))
    cloud.broken = set()
    engine.continue_rollback("demo")
    run(engine)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert "Takes" not in stack.resources["Roof"].properties


def test_nothing_to_update(engine: Engine) -> None:
    created(engine, THREE)
    with pytest.raises(ApiError, match=r"No updates are to be performed\."):
        engine.update_stack("demo", Wish(THREE))


def test_stack_tags_reach_the_resources(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE, tags={"team": "a"})
    seen = len(stack.events)
    engine.update_stack("demo", Wish(None, tags={"team": "b"}))
    run(engine)
    assert [t for t in told(stack, seen) if t.endswith("UPDATE_COMPLETE")] == [
        "Ground UPDATE_COMPLETE",
        "Wall UPDATE_COMPLETE",
        "Roof UPDATE_COMPLETE",
        "demo UPDATE_COMPLETE",
    ]


def test_what_is_no_longer_in_the_template_goes(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    less = THREE.replace("  Roof:", "  Attic:")
    engine.update_stack("demo", Wish(less.replace("!GetAtt Roof.Arn", "!GetAtt Attic.Arn")))
    run(engine)
    assert sorted(stack.resources) == ["Attic", "Ground", "Wall"]
    assert [name for deed, name in cloud.log if deed == "end"] == ["Roof"]


def test_deleted_in_reverse(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    seen = len(stack.events)
    engine.delete_stack("demo")
    run(engine)
    assert [t for t in told(stack, seen) if t.endswith("COMPLETE")] == [
        "Roof DELETE_COMPLETE",
        "Wall DELETE_COMPLETE",
        "Ground DELETE_COMPLETE",
        "demo DELETE_COMPLETE",
    ]
    with pytest.raises(ApiError, match="Stack with id demo does not exist"):
        engine.stack("demo")
    assert engine.stack(stack.id) is stack, "a deleted stack is found by its id"
    assert not engine.progress.exports.by_name


def test_a_dependency_from_outside_stops_a_delete(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    cloud.stuck = {"Wall"}
    engine.delete_stack("demo")
    run(engine)
    assert stack.status == "DELETE_FAILED"
    assert stack.reason == "The following resource(s) failed to delete: [Wall]. "
    [failed] = [e for e in stack.events if e.logical_id == "Wall" and e.status == "DELETE_FAILED"]
    assert "has a dependent object" in failed.reason
    assert "Error Code: DependencyViolation" in failed.reason
    assert not any(e.logical_id == "Ground" and "DELETE" in e.status for e in stack.events)
    assert sorted(one["name"] for one in cloud.things.values()) == ["Ground", "Wall"]
    engine.delete_stack("demo", ["Wall", "Ground"])
    run(engine)
    assert stack.status == "DELETE_COMPLETE"
    assert sorted(one["name"] for one in cloud.things.values()) == ["Ground", "Wall"]


def test_what_only_takes_a_while_to_let_go_is_waited_for(engine: Engine, cloud: ToyCloud) -> None:
    created(engine, THREE)
    cloud.stuck = {"Wall"}
    engine.delete_stack("demo")
    engine.advance(engine.now + 0.1)
    engine.advance(engine.now + 1.0)
    cloud.stuck = set()
    run(engine)
    assert not cloud.things


def test_retained_resources_stay(engine: Engine, cloud: ToyCloud) -> None:
    text = THREE.replace("  Ground:\n", "  Ground:\n    DeletionPolicy: Retain\n")
    stack = created(engine, text)
    engine.delete_stack("demo")
    run(engine)
    assert stack.status == "DELETE_COMPLETE"
    assert "Ground DELETE_SKIPPED" in told(stack)
    assert [one["name"] for one in cloud.things.values()] == ["Ground"]


def test_a_replaced_one_may_stay(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE.replace("  Wall:\n", "  Wall:\n    UpdateReplacePolicy: Retain\n"))
    engine.update_stack("demo", Wish(None, {"Kind": "new"}))
    run(engine)
    assert "Wall DELETE_SKIPPED" in told(stack)
    assert sorted(one["name"] for one in cloud.things.values()) == ["Ground", "Roof", "Wall", "Wall"]


def test_delete_while_it_is_being_made(engine: Engine, cloud: ToyCloud) -> None:
    engine.create_stack("demo", Wish(THREE))
    engine.advance(1001.0)
    stack = engine.stack("demo")
    engine.delete_stack("demo")
    run(engine)
    assert stack.status == "DELETE_COMPLETE"
    assert not cloud.things


def test_cancelled_update(engine: Engine, cloud: ToyCloud) -> None:
    stack = created(engine, THREE)
    engine.update_stack("demo", Wish(THREE.replace("Takes: 3", "Takes: 60")))
    engine.advance(engine.now + 1)
    engine.cancel_update("demo")
    run(engine)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.resources["Ground"].properties == {"Takes": 3}


def test_termination_protection(engine: Engine) -> None:
    engine.create_stack("demo", Wish(THREE), termination_protection=True)
    run(engine)
    with pytest.raises(ApiError, match="cannot be deleted while TerminationProtection is enabled"):
        engine.delete_stack("demo")
    engine.protect("demo", enabled=False)
    engine.delete_stack("demo")
    run(engine)
    engine.delete_stack("demo")  # once more is no error


def test_exports_and_imports(engine: Engine) -> None:
    stack = created(engine, THREE)
    user = "Resources: {User: {Type: Toy::Box::Thing, Properties: {Text: !ImportValue demo-roof}}}"
    other = created(engine, user, "user")
    assert other.resources["User"].properties["Text"] == stack.outputs[0].value
    assert engine.progress.exports.importers("demo-roof") == ["user"]
    engine.delete_stack("demo")
    run(engine)
    assert stack.status == "CREATE_COMPLETE"
    assert stack.reason == "Delete canceled. Cannot delete export demo-roof as it is in use by user."
    engine.delete_stack("user")
    run(engine)
    engine.delete_stack("demo")
    run(engine)
    assert not engine.live()


def test_an_export_in_use_cannot_be_changed(engine: Engine) -> None:
    stack = created(engine, THREE)
    created(
        engine, "Resources: {U: {Type: Toy::Box::Thing, Properties: {Text: !ImportValue demo-roof}}}", "user"
    )
    engine.update_stack("demo", Wish(None, {"Kind": "new"}))
    run(engine)
    assert stack.status == "UPDATE_ROLLBACK_COMPLETE"
    assert any("Export demo-roof cannot be updated as it is in use by user" in t for t in told(stack))


def test_two_stacks_cannot_export_one_name(engine: Engine) -> None:
    text = "Resources: {A: {Type: Toy::Box::Thing}}\nOutputs: {O: {Value: x, Export: {Name: same}}}"
    created(engine, text, "one")
    two = created(engine, text, "two")
    assert two.status == "ROLLBACK_COMPLETE"
    assert any("Export with name same is already exported by stack one." in t for t in told(two))


def test_one_token_one_stack(engine: Engine) -> None:
    first = engine.create_stack("demo", Wish(THREE), token="t1")
    assert engine.create_stack("demo", Wish(THREE), token="t1") == first
    with pytest.raises(ApiError, match="AlreadyExistsException"):
        engine.create_stack("demo", Wish(THREE), token="t2")
    with pytest.raises(ApiError, match="TokenAlreadyExistsException"):
        engine.create_stack("other", Wish(THREE), token="t1")


def test_signals_that_a_creation_policy_asks_for(engine: Engine) -> None:
    text = """
Resources:
  A:
    Type: Toy::Box::Thing
    CreationPolicy: {ResourceSignal: {Count: 2, Timeout: PT1M}}
"""
    engine.create_stack("demo", Wish(text))
    engine.advance(1001)
    engine.signal("demo", "A", "one", "SUCCESS")
    engine.advance(1002)
    assert engine.stack("demo").status == "CREATE_IN_PROGRESS"
    engine.signal("demo", "A", "two", "SUCCESS")
    engine.advance(1003)
    assert engine.stack("demo").status == "CREATE_COMPLETE"
    engine.create_stack("late", Wish(text))
    engine.advance(1004)
    engine.signal("late", "A", "one", "SUCCESS")
    run(engine)
    assert any(
        "Failed to receive 1 resource signal(s) within the specified duration" in t
        for t in told(engine.stack("late"))
    )


def test_a_change_set_for_a_new_stack(engine: Engine) -> None:
    plan = engine.create_change_set("demo", "first", "CREATE", Wish(THREE))
    assert engine.stack("demo").status == "REVIEW_IN_PROGRESS"
    assert [(c.action, c.logical_id) for c in plan.changes] == [
        ("Add", "Roof"),
        ("Add", "Wall"),
        ("Add", "Ground"),
    ]
    engine.execute_change_set("first", "demo")
    run(engine)
    assert engine.stack("demo").status == "CREATE_COMPLETE"
    with pytest.raises(ApiError, match="InvalidChangeSetStatus"):
        engine.execute_change_set("first", "demo")


def test_a_change_set_says_what_is_replaced(engine: Engine) -> None:
    stack = created(engine, THREE)
    plan = engine.create_change_set("demo", "second", "UPDATE", Wish(None, {"Kind": "new", "Size": "4"}))
    assert stack.status == "CREATE_COMPLETE"
    roof, wall = plan.changes
    assert (wall.logical_id, wall.action, wall.replacement) == ("Wall", "Modify", "True")
    assert [(d.name, d.recreation, d.static) for d in wall.details] == [("Kind", "Always", True)]
    assert (roof.logical_id, roof.replacement) == ("Roof", "Conditional")
    assert [(d.name, d.recreation, d.static) for d in roof.details] == [
        ("Needs", "Conditionally", False),
        ("Size", "Never", True),
    ]
    engine.execute_change_set("second", "demo")
    run(engine)
    assert stack.status == "UPDATE_COMPLETE"


def test_a_change_set_without_changes(engine: Engine) -> None:
    created(engine, THREE)
    plan = engine.create_change_set("demo", "none", "UPDATE", Wish(THREE))
    assert (plan.status, plan.execution) == ("FAILED", "UNAVAILABLE")
    assert plan.reason.startswith("The submitted information didn't contain changes.")
    engine.delete_change_set("none", "demo")
    with pytest.raises(ApiError, match="ChangeSetNotFound"):
        engine.change_set("none", "demo")


def test_a_stack_in_review_can_be_deleted(engine: Engine) -> None:
    engine.create_change_set("demo", "first", "CREATE", Wish(THREE))
    engine.delete_stack("demo")
    assert not engine.live()


def test_conditions_leave_out(engine: Engine, cloud: ToyCloud) -> None:
    text = """
Parameters: {Full: {Type: String, Default: "no"}}
Conditions: {IsFull: !Equals [!Ref Full, "yes"], Lean: !Not [{Condition: IsFull}]}
Resources:
  A: {Type: Toy::Box::Thing, Condition: IsFull}
  B:
    Type: Toy::Box::Thing
    DependsOn: A
    Properties:
      Text: !If [IsFull, !GetAtt A.Arn, !Ref "AWS::NoValue"]
      Size: !If [Lean, 1, 2]
Outputs:
  OfA: {Condition: IsFull, Value: !Ref A}
  OfB: {Value: !Ref B}
"""
    stack = created(engine, text)
    assert sorted(stack.resources) == ["B"]
    assert stack.resources["B"].properties == {"Size": 1}
    assert [one.key for one in stack.outputs] == ["OfB"]
    engine.update_stack("demo", Wish(None, {"Full": "yes"}))
    run(engine)
    assert stack.resources["B"].properties["Text"].startswith("arn:toy-")
    engine.update_stack("demo", Wish(None, {"Full": "no"}))
    run(engine)
    assert sorted(stack.resources) == ["B"]
    assert len(cloud.things) == 1


def test_capabilities(engine: Engine) -> None:
    text = "Resources: {R: {Type: AWS::IAM::Role}}"
    with pytest.raises(ApiError, match=r"Requires capabilities : \[CAPABILITY_IAM\]"):
        engine.create_stack("demo", Wish(text))
    engine.create_stack("demo", Wish(text, capabilities=("CAPABILITY_NAMED_IAM",)))
    named = "Resources: {R: {Type: AWS::IAM::Role, Properties: {RoleName: x}}}"
    with pytest.raises(ApiError, match=r"Requires capabilities : \[CAPABILITY_NAMED_IAM\]"):
        engine.create_stack("other", Wish(named, capabilities=("CAPABILITY_IAM",)))
