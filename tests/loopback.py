"""A web server on this machine that answers as it is told to, and a Python without cl_teach: for test_share and test_colab."""

import io
import os
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Loopback:
    """``pages`` maps a path to what is sent: bytes, or the number of an error; of the paths in ``half`` only the first half."""

    address: str
    pages: dict[str, bytes | int] = field(default_factory=dict)
    half: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)


@contextmanager
def loopback() -> Iterator[Loopback]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            page = server.pages.get(self.path, 404)
            if isinstance(page, int):
                self.send_error(page)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            if self.path.endswith("/"):
                self.send_header("Content-Type", "text/html")
            self.end_headers()
            if self.command == "GET":
                with suppress(ConnectionError):  # who asked has gone
                    self.wfile.write(page[: len(page) // 2] if self.path in server.half else page)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = Loopback(f"http://127.0.0.1:{http.server_port}")
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            http.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stranger() -> bytes:
    """A wheel of our name and a higher version: what whoever registers the name on an index could put there."""
    content = io.BytesIO()
    info = "cl_teach-99.0.dist-info"
    with zipfile.ZipFile(content, "w") as wheel:
        wheel.writestr("cl_teach/__init__.py", "def setup(): print('a stranger is here')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: cl_teach\nVersion: 99.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return content.getvalue()


def plant(server: Loopback, folder: Path) -> dict[str, str]:
    """Make ``server`` an index that has a stranger's cl_teach, put it into ``folder``, too; returns the environment variables
    that lead pip to both, and any other request to nowhere."""
    name = "cl_teach-99.0-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(stranger())
    server.pages[f"/files/{name}"] = stranger()
    server.pages["/simple/cl-teach/"] = f'<!DOCTYPE html><a href="/files/{name}">{name}</a>'.encode()
    nowhere = "http://127.0.0.1:9"
    return {
        "PIP_INDEX_URL": f"{server.address}/simple/", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": str(folder),
        "http_proxy": nowhere, "https_proxy": nowhere, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "no_proxy": "127.0.0.1",
        "NO_PROXY": "127.0.0.1",
    }  # fmt: skip


def without_cl_teach(folder: Path, like: str = "") -> Path:
    """A Python that installs into ``folder``, and sees the packages of the Python ``like``, which has no cl_teach; else of this
    one, but not what is installed for editing, whose .pth files are not read."""
    query = [like or sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([query[0], "-m", "venv", "--without-pip", str(folder)], check=True)
    query[0] = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    own = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    line = f"import site; site.addsitedir({packages!r})" if like else packages
    (Path(own) / "packages.pth").write_text(f"{line}\n", encoding="utf-8")
    return Path(query[0])


def clean_environment(**more: str) -> dict[str, str]:
    """Without what would bring this clone's cl_teach back, and without pip's settings of this machine."""
    dropped = ("PIP_", "PYTHON", "PYTEST", "CL_TEACH", "JUPYTER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1", **more}
