"""A PostgreSQL on this machine, with a password and a folder of its own; for `make services`."""

import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

USER = DATABASE = "mlflow"


@dataclass
class Postgres:
    """Its data lie in `folder`; the second start finds those of the first."""

    folder: Path
    port: int

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = not (self.folder / "data" / "PG_VERSION").exists()
        if fresh:
            self._own()
            self._make()
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run(
            "pg_ctl",
            "-D",
            str(self.folder / "data"),
            "-w",
            "-l",
            str(self.folder / "server.log"),
            "-o",
            options,
            "start",
        )
        if fresh:
            self._run("createdb", *self.address, DATABASE, password=self.password)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "-w", "stop")

    def kill(self) -> None:
        """As a power cut: no time to say goodbye. The next start recovers from the log of the database."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    @property
    def password(self) -> str:
        return (self.folder / "password").read_text()

    @property
    def address(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER]

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{DATABASE}"

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(20))
        # initdb reads the password as the user it runs as, who may not enter our folder.
        with tempfile.NamedTemporaryFile("w", prefix="mmctr-") as file:
            file.write(self.password)
            file.flush()
            if os.geteuid() == 0:
                shutil.chown(file.name, "postgres")
            self._run(
                "initdb",
                "-D",
                str(self.folder / "data"),
                "-U",
                USER,
                "-A",
                "scram-sha-256",
                "--pwfile",
                file.name,
                "-E",
                "UTF8",
                "--locale=C",
            )

    def _own(self) -> None:
        """PostgreSQL refuses to run as root: there it runs as the user that its package makes."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")

    def _run(self, program: str, *arguments: str, password: str = "") -> None:
        become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        environment = {**os.environ, "PGPASSWORD": password} if password else dict(os.environ)
        command = [*become, find_program(program), *arguments]
        run = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise SystemExit(f"{program} failed: {(run.stderr or run.stdout).strip()[-500:]}")


def find_program(name: str) -> str:
    """On the PATH, or where Debian keeps the programs of its newest version."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        raise SystemExit(f"PostgreSQL's {name} is not here: apt-get install postgresql, or brew install postgresql")
    return found
