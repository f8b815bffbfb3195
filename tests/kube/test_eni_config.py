import pytest

from vpccni.kube.eni_config import EXTERNAL_KEY, eni_config_name
from vpccni.kube.port import NodeView


@pytest.mark.parametrize(
    ("node", "name", "source"),
    [
        (NodeView({EXTERNAL_KEY: "x", "l": "b"}, {"a": "c"}), "x", f"label {EXTERNAL_KEY}"),
        (NodeView({"l": "b"}, {"a": "c"}), "c", "annotation a"),
        (NodeView({"l": "b"}), "b", "label l"),
        (NodeView({"l": "b"}, {"a": ""}), "b", "label l"),
        (NodeView({"a": "b"}, {"l": "c"}), "default", "neither annotation a nor label l"),
        (NodeView(), "default", "neither annotation a nor label l"),
    ],
)
def test_who_names_the_eni_config(node: NodeView, name: str, source: str) -> None:
    named = eni_config_name(node, annotation_key="a", label_key="l")
    assert named.name == name
    assert named.source.endswith(source)
    assert str(named).startswith(f"ENIConfig '{name}' (")
