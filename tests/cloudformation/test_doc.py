"""docs/cloudformation.md says what there is."""

import pytest
from botocore.loaders import Loader

from tests.cloudformation.supported import DOC, with_rendered
from vpclab.aws.cloudformation import SERVICE
from vpclab.cloudformation.types import TYPES


def test_the_doc_is_of_this_code() -> None:
    text = DOC.read_text()
    assert text == with_rendered(text), "write it anew: python -m tests.cloudformation.supported"


@pytest.mark.parametrize("name", TYPES)
def test_each_type_says_what_it_needs(name: str) -> None:
    kind = TYPES[name]
    assert kind.name == name
    assert kind.properties or name == "AWS::CloudFormation::WaitConditionHandle"
    assert kind.attributes or not kind.any_attribute


def test_every_call_of_the_api_that_the_doc_names_exists() -> None:
    known = Loader().load_service_model("cloudformation", "service-2")["operations"]
    assert set(SERVICE.operations) <= set(known)
    text = DOC.read_text()
    assert all(f"`{name}`" in text for name in SERVICE.operations)
