"""Builds the container image and answers calls from inside it, without a Docker daemon or an image registry.

    make image-check        (as root; Debian packages buildah and debootstrap; five to eight minutes)

The base image is a debootstrap root with Python, committed under the name that the Dockerfile asks for. The built
image runs as its own user in fresh mount, network and process namespaces: nothing outside loopback can be reached, and
nothing but the volume and /tmp can be written. The image is built twice, and both must have the same layers: each file
has the time of the commit (or SOURCE_DATE_EPOCH), Python is compiled by content, the base has no logs and caches.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "http://127.0.0.1:8085"
IMAGE = "localhost/cds-hooks-onnx"
BUILDS = (IMAGE, f"{IMAGE}-again")
DEBIAN = "bookworm"
# The build reaches the package registry as this machine does: its certificates and its pip settings.
LENT_TO_THE_BUILD = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
# What debootstrap leaves of the hour and the disk it ran on: logs, indexes and caches.
CHANGING = ("var/cache/apt", "var/lib/apt/lists/*", "var/log/*", "var/cache/ldconfig/*", "var/cache/debconf/*-old",
            "var/lib/dpkg/*-old", "etc/*-", "etc/machine-id", "etc/hostname", "etc/resolv.conf")  # fmt: skip
MIRROR = "IMAGE_CHECK_MIRROR"
"""Names another mirror: one of a snapshot gives the same packages each time."""
SAMPLE = "planning-talk"
PARTS = ROOT / "dist" / "sbom.cdx.json"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def say(sentence: str) -> None:
    """One line of the report."""
    print(f"image-check: {sentence}", flush=True)


def main() -> None:
    """Build, start, ask, end; exits non-zero with a sentence where that cannot be done."""
    if os.geteuid() != 0:
        sys.exit("image-check needs root, for chroot and mounts.")
    if missing := [tool for tool in ("buildah", "debootstrap", "unshare") if not shutil.which(tool)]:
        sys.exit(f"image-check needs {', '.join(missing)}; on Debian: apt-get install buildah debootstrap util-linux")
    with tempfile.TemporaryDirectory(prefix="cds-hooks-image-") as folder:
        storage = Buildah(Path(folder) / "storage")
        make_base(storage, Path(folder) / "debian")
        for name in BUILDS:
            build(storage, name)
        compare_builds(storage)
        container = storage.run("from", "--pull=never", IMAGE)
        root = storage.run("mount", container)
        config = json.loads(storage.run("inspect", "--type", "image", IMAGE))["Docker"]["config"]
        check_parts(Path(root))
        inside = [sys.executable, __file__, root, json.dumps(config)]
        namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        answer = subprocess.run([*namespaces, *inside], check=False)
        storage.run("umount", container)
    if answer.returncode != 0:
        sys.exit("image-check: failed")
    say("passed")


class Buildah:
    """buildah with a storage of its own, which goes when the check ends."""

    def __init__(self, storage: Path) -> None:
        self._command = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
        self._command += ["--storage-driver", "vfs"]

    def run(self, *arguments: str) -> str:
        """Return what it printed, without the last line feed."""
        command = [*self._command, *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def make_base(storage: Buildah, debian: Path) -> None:
    """Build a Debian root with Python, from this machine's own mirror, under the base image's name."""
    (name,) = re.findall(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    started = time.monotonic()
    targets = ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
    known = subprocess.run(targets, check=True, capture_output=True, text=True).stdout.split("\n")
    mirror = [line.split()[1] for line in known if line.startswith(f"{DEBIAN} ")][:1]
    mirror = [os.environ[MIRROR]] if MIRROR in os.environ else mirror
    packages = "--include=python3,python3-venv,ca-certificates"
    command = ["debootstrap", "--variant=minbase", packages, DEBIAN, str(debian), *mirror]
    with (debian.parent / "debootstrap.log").open("w+") as log:
        if subprocess.run(command, stdout=log, stderr=log, check=False).returncode != 0:
            log.seek(0)
            sys.exit(f"debootstrap failed:\n{log.read()[-2000:]}")
    for place in CHANGING:
        for path in debian.glob(place):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    container = storage.run("from", "scratch")
    storage.run("copy", "--quiet", container, str(debian), "/")
    storage.run("commit", "--quiet", "--rm", f"--timestamp={commit_time()}", container, name)
    say(f"base {name} made from Debian {DEBIAN} in {time.monotonic() - started:.0f} s")


def commit_time() -> str:
    """Return the time of every file of the image, as SOURCE_DATE_EPOCH gives it, else that of the commit."""
    of_commit = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return given or subprocess.run(of_commit, check=True, capture_output=True, text=True).stdout.strip()


def build(storage: Buildah, name: str) -> None:
    """Build the image from the Dockerfile as it is."""
    started = time.monotonic()
    lent = [f"--volume={path}:{path}:ro" for path in LENT_TO_THE_BUILD if Path(path).is_file()]
    as_is = ["--isolation", "chroot", "--pull=never", "--format", "docker", f"--timestamp={commit_time()}"]
    storage.run("bud", *as_is, *lent, "--tag", name, str(ROOT))
    say(f"built {name} in {time.monotonic() - started:.0f} s")


def compare_builds(storage: Buildah) -> None:
    """End with what differs where the layers or the configurations of the two builds are not the same.

    The name of the build's container stands in the configuration, as its id and its host, and is another each time.
    """
    first, second = (json.loads(storage.run("inspect", "--type", "image", name))["Docker"] for name in BUILDS)
    for image in (first, second):
        del image["container"], image["config"]["Hostname"], image["container_config"]["Hostname"]
    if first != second:
        roots = [storage.run("mount", storage.run("from", "--pull=never", name)) for name in BUILDS]
        differing = subprocess.run(
            ["diff", "-rq", "--no-dereference", "--exclude=dev", *roots], capture_output=True, text=True, check=False
        ).stdout
        sys.exit(f"image-check: two builds differ:\n{differing or 'only in their configuration'}")
    say(f"built twice with the same layers and configuration: {', '.join(first['rootfs']['diff_ids'])}")


def check_parts(root: Path) -> None:
    """Compare the Python packages in the image with its list of parts, and add those of its base to the list."""
    bom = json.loads(PARTS.read_text())
    python = [part for part in bom["components"] if part["purl"].startswith("pkg:pypi/")]
    listed = {plain_name(part["name"]): part["version"] for part in python}
    installed = {}
    for folder in root.glob("opt/cds-hooks/lib/python3*/site-packages/*.dist-info"):
        name, version = folder.name.removesuffix(".dist-info").rsplit("-", 1)
        installed[plain_name(name)] = version
    del installed["cds-hooks-onnx"]
    if installed != listed:
        sys.exit(f"image-check: not as listed in {PARTS.name}: {sorted(installed.items() ^ listed.items())}")
    base = debian_packages((root / "var/lib/dpkg/status").read_text())
    bom["components"] = [*python, *base]
    PARTS.write_text(json.dumps(bom, indent=1) + "\n")
    release = (root / "etc/debian_version").read_text().strip()
    say(f"{len(listed)} Python packages as listed; {len(base)} packages of Debian {release} added to {PARTS.name}")


def plain_name(name: str) -> str:
    """Return the name of a Python package as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def debian_packages(status: str) -> list[dict[str, str]]:
    """Return the packages of dpkg's list as parts of CycloneDX."""
    parts = []
    for paragraph in status.split("\n\n"):
        said = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph, re.MULTILINE))
        if said.get("Status", "").endswith(" installed"):
            name, version, kind = said["Package"], said["Version"], said["Architecture"]
            purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={kind}"
            parts.append({"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl})
    return parts


def inside_namespaces(root: str, config: dict[str, Any]) -> None:
    """Start the image as its configuration says, ask it, end it. Runs in namespaces of its own."""
    bring_loopback_up()
    close_file_system(root, config)
    healthy = [part for part in config["Healthcheck"]["Test"] if part != "CMD"]
    server = subprocess.Popen(in_image(root, config, [*config["Entrypoint"], *config["Cmd"]]))
    started = time.monotonic()
    while subprocess.run(in_image(root, config, healthy), stderr=subprocess.DEVNULL, check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() - started > 60:
            sys.exit(f"image-check: the server did not become healthy (exit code {server.poll()})")
        time.sleep(0.2)
    say(f"healthy after {time.monotonic() - started:.1f} s by the image's own HEALTHCHECK, as user {config['User']}")
    for path in ("/readyz", "/cds-services"):
        with urllib.request.urlopen(ADDRESS + path, timeout=5) as answer:
            say(f"GET {path} {answer.status} {answer.read(160).decode()}")
    call_sample(root, config)
    try_to_write(root, config)
    server.send_signal(signal.SIGTERM)
    code = server.wait(timeout=20)
    say(f"SIGTERM: ended with exit code {code}")
    sys.exit(code)


def call_sample(root: str, config: dict[str, Any]) -> None:
    """Send a sample patient through the image's own client, which draws the card."""
    call = [*config["Entrypoint"], "call", f"sample:{SAMPLE}", "--url", ADDRESS]
    if subprocess.run(in_image(root, config, call), check=False).returncode != 0:
        sys.exit("image-check: the sample call failed")


def try_to_write(root: str, config: dict[str, Any]) -> None:
    """Fails if even root can make a file outside the volume."""
    as_root = {**config, "User": "0:0"}
    for folder in ("/", "/opt/cds-hooks", "/usr/bin", "/etc"):
        touch = subprocess.run(
            in_image(root, as_root, ["touch", f"{folder}/x"]), stderr=subprocess.DEVNULL, check=False
        )
        if touch.returncode == 0:
            sys.exit(f"image-check: {folder} can be written to")
    say("not even root can write outside the volume and the temporary folder")


def bring_loopback_up() -> None:
    """Bring the loopback up: a new network namespace has only one that is down."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def close_file_system(root: str, config: dict[str, Any]) -> None:
    """Mount the root read-only, the image's volume and /tmp as they would be mounted, and /proc and /dev."""
    volume = root + next(iter(config["Volumes"]))
    owner = os.stat(volume)
    mounts = [
        ["--bind", root, root],
        ["-o", "remount,bind,ro", root],
        ["-t", "tmpfs", "-o", f"uid={owner.st_uid},gid={owner.st_gid},mode=0700", "tmpfs", volume],
        ["-t", "tmpfs", "tmpfs", f"{root}/tmp"],  # noqa: S108 - the image's own
        ["-t", "proc", "proc", root + "/proc"],
        ["--rbind", "/dev", root + "/dev"],
    ]
    for mount in mounts:
        subprocess.run(["mount", *mount], check=True)


def in_image(root: str, config: dict[str, Any], command: list[str]) -> list[str]:
    """Return the command as a container runs it: in the image's root, as its user, with its environment and folder."""
    prepared = ["env", "--ignore-environment", f"--chdir={config['WorkingDir']}", *config["Env"]]
    return ["chroot", f"--userspec={config['User']}", root, *prepared, *command]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        inside_namespaces(sys.argv[1], json.loads(sys.argv[2]))
    else:
        main()
