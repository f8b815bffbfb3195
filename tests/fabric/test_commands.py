from vpclab.fabric.commands import CommandError


def test_a_failed_batch_names_the_line() -> None:
    script = "link set e1 up\nlink set e7 up\n"
    said = 'Cannot find device "e7"\nCommand failed -:2\n'
    error = CommandError("node-1", ["ip", "-batch", "-"], "failed with status 1", said, script)
    assert error.script_line == "link set e7 up"
    assert str(error).startswith(
        "in node-1: ip -batch - failed with status 1 at 'link set e7 up': Cannot find device"
    )


def test_a_failed_ruleset_names_the_line() -> None:
    said = "/dev/stdin:2:12-12: Error: syntax error, unexpected newline\nadd tabel b\n"
    error = CommandError(
        "router", ["nft", "-f", "-"], "failed with status 1", said, "add table a\nadd tabel b\n"
    )
    assert error.script_line == "add tabel b"


def test_a_line_that_the_script_does_not_have_is_not_invented() -> None:
    assert CommandError("router", ["nft"], "failed", "/dev/stdin:9:1: Error", "x").script_line == ""
    assert CommandError("router", ["true"], "failed", "no such thing").script_line == ""
