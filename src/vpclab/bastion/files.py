"""The files by which a machine of the lab is one that people work on. Pure: paths and texts."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

HOMES = "/run/home"
"""Where homes are: the machine's own /home and /root, with a person's own keys and settings in them, are not the lab's."""
USER = "ec2-user"
BIN = "/run/vpc-lab/bin"
KEY = "/etc/ssh/vpc-lab"
SSHD_CONFIG = "/etc/ssh/vpc-lab-sshd"
HOST_KEY = "/etc/ssh/vpc-lab-host"
PROFILE = "/etc/profile.d/vpc-lab.sh"
KUBECONFIG = f"{HOMES}/root/.kube/config"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_USER = 1000
SSHD = f"""\
Port 22
HostKey {HOST_KEY}
AuthorizedKeysFile /etc/ssh/vpc-lab-keys/%u
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
PidFile none
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
MaxStartups 50:30:100
SetEnv PATH={SYSTEM_PATH}
"""
SSH = f"""\
Host *
  IdentityFile {KEY}
  StrictHostKeyChecking accept-new
  UserKnownHostsFile {HOMES}/root/known_hosts
  LogLevel ERROR
  SendEnv LANG LC_*
"""
Files = dict[str, tuple[str, int]]
"""Path → text and mode."""


def passwd(there: str, shell: str = "/bin/bash") -> str:
    """/etc/passwd with ec2-user and sshd in it, and root at home in the lab."""
    lines = [line for line in there.splitlines() if line.partition(":")[0] not in {"root", USER, "sshd"}]
    taken = {line.split(":")[2] for line in lines if line.count(":") >= 6}
    user = next(str(uid) for uid in range(FIRST_USER, FIRST_USER + 1000) if str(uid) not in taken)
    return "".join(
        f"{line}\n"
        for line in (
            f"root:x:0:0:root:{HOMES}/root:{shell}",
            *lines,
            f"{USER}:*:{user}:{user}:EC2 Default User:{HOMES}/{USER}:{shell}",
            "sshd:*:65533:65534::/run/sshd:/usr/sbin/nologin",
        )
    )


def on_every_machine(there: str) -> Files:
    """Users, and what they may do."""
    return {
        "/etc/passwd": (passwd(there), 0o644),
        "/etc/sudoers": (
            f'Defaults secure_path="{SYSTEM_PATH}"\nroot ALL=(ALL:ALL) ALL\n{USER} ALL=(ALL) NOPASSWD:ALL\n',
            0o440,
        ),
        "/etc/pam.d/sudo": (
            "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession required pam_permit.so\n",
            0o644,
        ),
    }


def on_a_node(public_key: str) -> Files:
    """Its sshd lets ec2-user in with the lab's key, and nobody else."""
    return {
        f"/etc/ssh/vpc-lab-keys/{USER}": (public_key, 0o644),
        SSHD_CONFIG: (SSHD, 0o600),
    }


def on_the_bastion(
    variables: Mapping[str, str], path: str, kubeconfig: str, private_key: str, programs: Mapping[str, str]
) -> Files:
    """The shell's variables, the way into the cluster and onto the nodes, and the lab's own commands."""
    return {
        PROFILE: (profile(variables, path), 0o644),
        KUBECONFIG: (kubeconfig, 0o600),
        KEY: (private_key, 0o600),
        "/etc/ssh/ssh_config": (SSH, 0o644),
        **{f"{BIN}/{name}": (text, 0o755) for name, text in programs.items()},
    }


def profile(variables: Mapping[str, str], path: str) -> str:
    """What a login shell reads; `echo "export N1=$N1" >> /etc/profile` adds to it, as the study does."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return (
        "\n".join(
            (
                "# of vpc-lab",
                *lines,
                f"export PATH={BIN}:{path}",
                f"export KUBECONFIG={KUBECONFIG}",
                "PS1='[\\u@$CLUSTER_NAME-bastion \\W]\\$ '",
            )
        )
        + "\n"
    )
