"""What programs expect of any root, whatever it was unpacked from: folders, accounts, authorities.

Owns: those files. Never: brings programs.
"""

from pathlib import Path

FOLDERS = ("dev", "etc", "proc", "root", "run", "sys", "tmp")
TMP = {"/tmp": 0o1777}  # noqa: S108 (in the image)
"""The modes of folders that are not as others."""


def lay_out(root: Path, *folders: str, user: str = "", login: str = "/sbin/nologin") -> None:
    """Make the folders that any root has, and `folders`; accounts are root and `user`, as in passwd."""
    for name in (*FOLDERS, *folders):
        (root / name).mkdir(parents=True, exist_ok=True)
    accounts = [f"root:x:0:0:root:/root:{login}", *([user] if user else [])]
    groups = [":".join((*account.split(":")[:2], account.split(":")[3], "")) for account in accounts]
    (root / "etc/passwd").write_text("".join(f"{account}\n" for account in accounts))
    (root / "etc/group").write_text("".join(f"{group}\n" for group in groups))
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def trust(root: Path) -> None:
    """The bundle of authorities, and OpenSSL's links to it: what the script of ca-certificates would make."""
    certificates = sorted((root / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(f"{at.read_text().strip()}\n" for at in certificates))
    openssl = root / "usr/lib/ssl"
    openssl.mkdir(parents=True)
    (openssl / "certs").symlink_to("/etc/ssl/certs")
    (openssl / "cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
