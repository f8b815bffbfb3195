"""Each intrinsic function: an expression and what it is."""

import json
from typing import Any

import pytest

from tests.cloudformation.toys import ToyCloud, created, engine_of
from vpclab.cloudformation import Wish
from vpclab.cloudformation.template_text import read

HEAD = """
Transform: AWS::LanguageExtensions
Parameters:
  Name: {Type: String, Default: web}
  Many: {Type: CommaDelimitedList, Default: "a, b,c"}
  Numbers: {Type: List<Number>, Default: "1,2"}
  Image: {Type: "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", Default: /ami}
  Key: {Type: AWS::EC2::KeyPair::KeyName, Default: mine}
Mappings:
  Sizes:
    web: {cpu: 2, zones: [x, y]}
Conditions:
  IsWeb: !Equals [!Ref Name, web]
  Both: !And [{Condition: IsWeb}, !Not [!Equals [a, b]]]
  Either: !Or [!Equals [a, b], {Condition: Both}]
Resources:
  One:
    Type: Toy::Box::Thing
    Properties: {Text: hello}
  Two:
    Type: Toy::Box::Thing
    Properties:
      Text: """

CASES: dict[str, Any] = {
    "!Ref Name": "web",
    "!Ref Many": ["a", "b", "c"],
    "!Ref Numbers": ["1", "2"],
    "!Ref Image": "ami-1",
    "!Ref Key": "mine",
    "!Ref AWS::Region": "ap-northeast-2",
    "!Ref AWS::AccountId": "111122223333",
    "!Ref AWS::Partition": "aws",
    "!Ref AWS::URLSuffix": "amazonaws.com",
    "!Ref AWS::StackName": "demo",
    "!GetAtt One.Text": "hello",
    "{'Fn::GetAtt': [One, Text]}": "hello",
    "!Sub '${Name}-${AWS::Region}-${One.Text}-${!Literal}'": "web-ap-northeast-2-hello-${Literal}",
    "!Sub ['${Name} ${Own}', {Own: !Select [1, !Ref Many]}]": "web b",
    "!Join [':', [a, !Ref Name, 1, true]]": "a:web:1:true",
    "!Join [',', !Ref Many]": "a,b,c",
    "!Select [0, !GetAZs '']": "ap-northeast-2a",
    "!Select [1, !GetAZs {Ref: 'AWS::Region'}]": "ap-northeast-2b",
    "!Select ['1', !Split ['-', a-b-c]]": "b",
    "!Split [',', 'x,y']": ["x", "y"],
    "!FindInMap [Sizes, !Ref Name, cpu]": 2,
    "!FindInMap [Sizes, web, zones]": ["x", "y"],
    "!FindInMap [Sizes, db, cpu, {DefaultValue: 9}]": 9,
    "!Cidr [192.168.0.0/16, 3, 8]": ["192.168.0.0/24", "192.168.1.0/24", "192.168.2.0/24"],
    "!Select [1, !Cidr ['fd00::/56', 2, 64]]": "fd00:0:0:1::/64",
    "!Base64 hello": "aGVsbG8=",
    "{'Fn::Base64': !Sub 'run ${Name}'}": "cnVuIHdlYg==",
    "!If [IsWeb, yes it is, no]": "yes it is",
    "!If [Either, !If [Both, both, one], none]": "both",
    "[a, !If [IsWeb, !Ref 'AWS::NoValue', b]]": ["a"],
    "!Equals [a, a]": True,
    "{Statement: {Condition: {Bool: {x: true}}}}": {"Statement": {"Condition": {"Bool": {"x": True}}}},
    "!Length [a, b]": 2,
    "!ToJsonString {a: [1, !Ref Name]}": '{"a":[1,"web"]}',
    "'{{resolve:ssm:/ami}} {{resolve:ssm:/ami:1}}'": "ami-1 ami-1",
    "2012-10-17": "2012-10-17",
}


@pytest.mark.parametrize("expression", CASES)
def test_what_it_is(expression: str) -> None:
    engine = engine_of(ToyCloud(store={"/ami": "ami-1"}))
    stack = created(engine, HEAD + expression, capabilities=("CAPABILITY_AUTO_EXPAND",))
    assert stack.status == "CREATE_COMPLETE", [one.reason for one in stack.events if "FAILED" in one.status]
    assert stack.resources["Two"].properties["Text"] == CASES[expression]


def test_yaml_and_json_are_the_same_template() -> None:
    text = """
Resources:
  A:
    Type: T
    DependsOn: [B]
    Properties: {X: !Sub "${B}", Y: !GetAtt B.C.D, Z: !If [C, !Ref A, !GetAZs ""], Port: 022, On: yes}
"""
    found = read(text)
    assert read(json.dumps(found)) == found
    assert found["Resources"]["A"]["Properties"]["Y"] == {"Fn::GetAtt": ["B", "C.D"]}


def test_values_of_an_update_may_be_those_before() -> None:
    engine = engine_of(ToyCloud(store={"/ami": "ami-1"}))
    stack = created(
        engine, HEAD + "!Ref Name", parameters={"Name": "db"}, capabilities=("CAPABILITY_AUTO_EXPAND",)
    )
    engine.account.cloud.store["/ami"] = "ami-2"  # type: ignore[attr-defined]
    changed = Wish(HEAD + "!Sub '${Name} ${Image}'", {"Name": None}, capabilities=("CAPABILITY_AUTO_EXPAND",))
    engine.update_stack("demo", changed)
    engine.advance(1200)
    assert stack.resources["Two"].properties["Text"] == "db ami-2"
