"""nginx with the site of deploy/nginx.conf on a free port, before a server that a test has started."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

NAME = "pet.example.org"


def start_nginx(folder: Path, site: str, server_url: str, in_location: str = "", beside: str = "") -> Iterator[str]:
    """Its URL, with a certificate of its own.

    Args:
        folder: an empty one for its files.
        site: content of deploy/nginx.conf.
        server_url: what it stands before.
        in_location: lines added to `location /`.
        beside: lines added beside that.
    """
    made = ["-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-keyout", str(folder / "key"), "-out", str(folder / "pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *made], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (f"/etc/ssl/certs/{NAME}.pem", str(folder / "pem")),
        (f"/etc/ssl/private/{NAME}.key", str(folder / "key")),
        ("http://127.0.0.1:8000", server_url),
        ("location / {", f"{beside}\nlocation / {{\n{in_location}"),
    ):
        assert old in site
        site = site.replace(old, new)
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / name).mkdir()
    temporary = "".join(
        f"{directive}_temp_path {folder / name};\n"
        for directive, name in [("client_body", "body"), *((one, one) for one in ("proxy", "fastcgi", "uwsgi", "scgi"))]
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log {folder / 'error.log'};\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}{site}}}\n"
    )
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(port, process)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nginx does not listen")
