"""What is wrong with a request, in CloudFormation's words: the catalogue."""

import pytest

from tests.cloudformation.toys import ToyCloud, engine_of
from vpclab.cloudformation import Wish
from vpclab.region.values import ApiError

THING = "Resources: {A: {Type: Toy::Box::Thing"

CATALOGUE = {
    # form
    "[1, 2]": "Template format error: unsupported structure.",
    "just text": "Template format error: unsupported structure.",
    '{"Resources": {,}}': "Template format error: JSON not well-formed. (line 1, column 16)",
    "Resources:\n\tA: 1": "Template format error: YAML not well-formed. (line 2, column 1)",
    "{}": "Template format error: At least one Resources member must be defined.",
    f"Foo: 1\n{THING}}}}}": "Template format error: Invalid template property or properties [Foo]",
    f"AWSTemplateFormatVersion: 2020-01-01\n{THING}}}}}": "Template format error: Template format version not supported.",
    "Resources: {A: {Properties: {}}}": (
        "Template format error: [/Resources/A] Every Resources object must contain a Type member."
    ),
    "Resources: {A: {Type: AWS::S3::Bucket}, B: {Type: AWS::Lambda::Function}}": (
        "Template format error: Unrecognized resource types: [AWS::Lambda::Function, AWS::S3::Bucket]"
    ),
    "Resources: {my-thing: {Type: Toy::Box::Thing}}": (
        "Template format error: Resource name my-thing is non alphanumeric."
    ),
    f"{THING}, Color: red}}}}": "Template format error: Invalid template resource property 'Color'",
    f"{THING}, DeletionPolicy: Keep}}}}": "Template format error: Unrecognized DeletionPolicy Keep for resource A",
    f"Transform: AWS::Serverless-2016-10-31\n{THING}}}}}": "No transform named AWS::Serverless-2016-10-31 found.",
    # names
    f"{THING}, Properties: {{Text: !Ref B}}}}}}": (
        "Template format error: Unresolved resource dependencies [B] in the Resources block of the template"
    ),
    f"{THING}, Properties: {{Text: !Sub '${{X}}-${{Y}}'}}}}}}": (
        "Template format error: Unresolved resource dependencies [X, Y] in the Resources block of the template"
    ),
    f"{THING}, DependsOn: Z}}}}": (
        "Template format error: Unresolved resource dependencies [Z] in the Resources block of the template"
    ),
    f"{THING}}}}}\nOutputs: {{O: {{Value: !Ref Nobody}}}}": (
        "Template format error: Unresolved resource dependencies [Nobody] in the Outputs block of the template"
    ),
    f"{THING}, Properties: {{Text: !GetAtt B.Arn}}}}}}": (
        "Template error: instance of Fn::GetAtt references undefined resource B"
    ),
    f"{THING}}}, B: {{Type: Toy::Box::Thing, Properties: {{Text: !GetAtt A.Colour}}}}}}": (
        "Template error: resource A does not support attribute type Colour in Fn::GetAtt"
    ),
    f"{THING}, Condition: Never}}}}": (
        "Template format error: Unresolved condition dependency Never in the Resources block of the template"
    ),
    f"{THING}, Properties: {{Text: !If [Never, a, b]}}}}}}": (
        "Template format error: Unresolved condition dependency Never in the Resources block of the template"
    ),
    f"Conditions: {{C: !Equals [!Ref A, b]}}\n{THING}}}}}": (
        "Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the"
        " template"
    ),
    f"Conditions: {{C: !Not [{{Condition: D}}], D: !Not [{{Condition: C}}]}}\n{THING}}}}}": (
        "Template format error: Circular dependencies for conditions [C, D]"
    ),
    f"{THING}, Properties: {{Text: !FindInMap [M, a, b]}}}}}}": (
        "Template error: Mapping named 'M' is not present in the 'Mappings' section of template."
    ),
    f"{THING}, Properties: {{Text: !Ref B}}}}, B: {{Type: Toy::Box::Thing, DependsOn: A}}}}": (
        "Circular dependency between resources: [A, B]"
    ),
    f"{THING}, Properties: {{Text: !Ref A}}}}}}": "Circular dependency between resources: [A]",
    (
        "Conditions: {Never: !Equals [a, b]}\nResources: {A: {Type: Toy::Box::Thing, Condition: Never},"
        " B: {Type: Toy::Box::Thing, Properties: {Text: !Ref A}}}"
    ): "Template format error: Unresolved resource dependencies [A] in the Resources block of the template",
    # functions
    f"{THING}, Properties: {{Text: !GetAtt A}}}}}}": (
        "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource"
        " attribute"
    ),
    f"{THING}, Properties: {{Text: !Sub '${{a b}}'}}}}}}": (
        "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores,"
        " periods, and colons"
    ),
    f"{THING}, Properties: {{Text: !Sub [a]}}}}}}": (
        "Template error: One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as"
        " first argument, and an optional second argument to specify a mapping of values to replace in the string"
    ),
    # parameters
    f"Parameters: {{P: {{Default: 1}}}}\n{THING}}}}}": (
        "Template format error: Every Parameters object must contain a Type member."
    ),
    f"Parameters: {{P: {{Type: Text}}}}\n{THING}}}}}": "Template format error: Unrecognized parameter type: Text",
    f"Parameters: {{P: {{Type: String}}, Q: {{Type: String}}}}\n{THING}}}}}": "Parameters: [P, Q] must have values",
    f"Parameters: {{P: {{Type: Number, Default: x}}}}\n{THING}}}}}": "Parameter 'P' must be a number.",
    f"Parameters: {{P: {{Type: Number, Default: 3, MaxValue: 2}}}}\n{THING}}}}}": (
        "Parameter 'P' must be a number not greater than 2"
    ),
    f"Parameters: {{P: {{Type: Number, Default: 1, MinValue: 2}}}}\n{THING}}}}}": (
        "Parameter 'P' must be a number not less than 2"
    ),
    f"Parameters: {{P: {{Type: String, Default: ab, MinLength: 3}}}}\n{THING}}}}}": (
        "Parameter 'P' must contain at least 3 characters"
    ),
    f"Parameters: {{P: {{Type: String, Default: abcd, MaxLength: 3}}}}\n{THING}}}}}": (
        "Parameter 'P' must contain at most 3 characters"
    ),
    f"Parameters: {{P: {{Type: String, Default: c, AllowedValues: [a, b]}}}}\n{THING}}}}}": (
        "Parameter 'P' must be one of AllowedValues"
    ),
    f"Parameters: {{P: {{Type: String, Default: c, AllowedPattern: '[ab]'}}}}\n{THING}}}}}": (
        "Parameter 'P' must match pattern [ab]"
    ),
    f"Parameters: {{P: {{Type: String, Default: c, AllowedPattern: '[ab]', ConstraintDescription: a or b}}}}\n{THING}}}}}": (
        "Parameter P failed to satisfy constraint: a or b"
    ),
    f"Parameters: {{P: {{Type: 'AWS::SSM::Parameter::Value<String>', Default: /no}}}}\n{THING}}}}}": (
        "Unable to fetch parameters [/no] from parameter store for this account."
    ),
    f"Parameters: {{Key: {{Type: AWS::EC2::KeyPair::KeyName, Default: nothing}}}}\n{THING}}}}}": (
        "Parameter validation failed: parameter value nothing for parameter name Key does not exist"
    ),
    # rules
    (
        "Parameters: {P: {Type: String, Default: c}}\nRules: {R: {Assertions: [{Assert: {'Fn::Contains': [[a, b], !Ref P]},"
        f" AssertDescription: a or b}}]}}}}\n{THING}}}}}"
    ): "Template error: rule R failed: a or b",
}


@pytest.mark.parametrize("text", CATALOGUE)
def test_refused_before_anything_is_made(text: str) -> None:
    cloud = ToyCloud()
    engine = engine_of(cloud)
    with pytest.raises(ApiError) as refused:
        engine.create_stack("demo", Wish(text))
    assert (refused.value.code, refused.value.message) == ("ValidationError", CATALOGUE[text])
    assert not engine.stacks
    assert not cloud.log


FAILING = {
    "!Select [3, [a, b]]": "Template error: Fn::Select cannot select nonexistent value at index 3",
    "!Join ['-', x]": "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and",
    "!FindInMap [M, a, nothing]": "Template error: Unable to get mapping for M::a::nothing",
    "!ImportValue nothing": "No export named nothing found.",
    "!Cidr [10.0.0.0/24, 16, 5]": "Template error: Fn::Cidr: the specified IP address range is too small",
    "{'Fn::Length': [a]}": "Template error: Fn::Length is not supported without AWS::LanguageExtensions transform",
    "{'Fn::Nonsense': [a]}": "Template error: The lab does not have the function Fn::Nonsense",
    "'{{resolve:ssm:/nothing}}'": "Unable to fetch parameters [/nothing] from parameter store for this account.",
}


@pytest.mark.parametrize("value", FAILING)
def test_what_is_found_only_when_it_is_resolved_fails_the_resource(value: str) -> None:
    engine = engine_of(ToyCloud())
    text = f"Mappings: {{M: {{a: {{b: c}}}}}}\nResources:\n  A:\n    Type: Toy::Box::Thing\n    Properties:\n      Text: {value}"
    engine.create_stack("demo", Wish(text))
    engine.advance(1001)
    stack = engine.stack("demo")
    assert stack.status == "ROLLBACK_COMPLETE"
    [failed] = [one for one in stack.events if one.status == "CREATE_FAILED"]
    assert failed.reason.startswith(FAILING[value])


def test_properties_are_checked_against_the_type() -> None:
    engine = engine_of(ToyCloud())
    engine.create_stack("demo", Wish("Resources: {A: {Type: Toy::Box::Thing, Properties: {Colour: red}}}"))
    engine.advance(1001)
    [failed] = [one for one in engine.stack("demo").events if one.status == "CREATE_FAILED"]
    assert failed.reason == (
        "Properties validation failed for resource A with message:\n#: extraneous key [Colour] is not permitted"
    )


def test_requests_that_fit_no_stack() -> None:
    engine = engine_of(ToyCloud())
    wish = Wish("Resources: {A: {Type: Toy::Box::Thing}}")
    for deed, message in (
        (lambda: engine.stack("no"), "Stack with id no does not exist"),
        (lambda: engine.update_stack("no", wish), "Stack with id no does not exist"),
        (lambda: engine.create_change_set("no", "c", "UPDATE", wish), r"Stack \[no\] does not exist"),
        (lambda: engine.create_stack("1st", wish), "failed to satisfy constraint"),
        (
            lambda: engine.create_stack("x", Wish(None)),
            "Either Template URL or Template Body must be specified",
        ),
        (
            lambda: engine.create_stack("x", Wish(wish.template, {"P": "1"})),
            r"Parameters: \[P\] do not exist in the template",
        ),
    ):
        with pytest.raises(ApiError, match=message):
            deed()
    engine.create_stack("x", wish)
    with pytest.raises(ApiError, match="is in CREATE_IN_PROGRESS state and can not be updated"):
        engine.update_stack("x", wish)
    engine.advance(1001)
    with pytest.raises(ApiError, match="specify which resources to retain only when"):
        engine.delete_stack("x", ["A"])
    with pytest.raises(ApiError, match="CancelUpdateStack cannot be called"):
        engine.cancel_update("x")
    with pytest.raises(ApiError, match="can not continue rolling back"):
        engine.continue_rollback("x")
