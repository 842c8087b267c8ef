#!/usr/bin/env python3
"""Real servers on 127.0.0.1, for as long as standard input is open: Apache Kafka, a schema registry, PostgreSQL, and
Debezium on Kafka Connect.

    parts.py PART...          e.g. parts.py kafka registry postgres; Ctrl-D ends them
    parts.py --missing PART   says what this machine lacks for it (kafka, postgres); nothing when it can run

Each line of standard input starts the parts that it names, and is answered by one line of JSON: where all parts are.
Ports are free ones. Data, logs, certificate and passwords are in a folder that goes at the end, with every process that
was started here; WEIR_PARTS_KEEP=1 keeps the folder.
"""

import base64
import glob
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import jars

JAVA = 17
MECHANISM = "SCRAM-SHA-512"
LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss.SSS} %-5p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Part:
    """A server that was started here."""

    def __init__(self, name, command, log, ready, **options):
        self.name, self.log = name, log
        with open(log, "ab") as out:
            # In a session of its own: a Ctrl-C at the terminal is for us, who end it in order.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, cwd="/", **options
            )
        end = time.monotonic() + 300
        while not ready():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"{name} did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Parts:
    """What runs, and where."""

    def __init__(self, folder):
        self.folder, self.running, self.where = folder, [], {"folder": str(folder)}

    def start(self, name):
        getattr(self, name)()

    def stop(self):
        for part in reversed(self.running):
            part.stop()

    def run(self, name, command, ready, **options):
        self.running.append(Part(name, command, self.folder / f"{name}.log", ready, **options))

    def java(self, megabytes, *rest):
        logging = self.folder / "log4j2.properties"
        logging.write_text(LOGGING)
        flags = [f"-Xmx{megabytes}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return ["java", *flags, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{jars.folder()}/*", *rest]

    def properties(self, name, values):
        path = self.folder / f"{name}.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        return path

    def secret(self, name):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
        return path

    def kafka(self):
        """One node, broker and controller in one; a listener each for plain, SCRAM, and SCRAM over TLS."""
        plain, controller, sasl, tls = (f"127.0.0.1:{port}" for port in free_ports(4))
        password, store, certificate = self.secret("password"), self.folder / "kafka.p12", self.folder / "kafka.pem"
        store_password = self.secret("store-password").read_text()
        keytool = ["keytool", "-keystore", store, "-storetype", "PKCS12", "-storepass:file", self.folder / "store-password"]
        made = ["-genkeypair", "-alias", "kafka", "-keyalg", "EC", "-dname", "CN=kafka", "-ext", "san=ip:127.0.0.1"]
        run([*keytool, *made, "-ext", "bc:c=ca:true", "-validity", "30"])
        run([*keytool, "-exportcert", "-alias", "kafka", "-rfc", "-file", certificate])
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        single = {
            f"{topic}.{setting}": 1
            for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
            for setting in ("replication.factor", "num.partitions")
        }
        config = self.properties("kafka", {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAIN",
            "listeners": f"PLAIN://{plain},CONTROLLER://{controller},SASL://{sasl},TLS://{tls}",
            "advertised.listeners": f"PLAIN://{plain},SASL://{sasl},TLS://{tls}",
            "listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL",
            "sasl.enabled.mechanisms": MECHANISM,
            f"listener.name.sasl.{MECHANISM.lower()}.sasl.jaas.config": login,
            f"listener.name.tls.{MECHANISM.lower()}.sasl.jaas.config": login,
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": store,
            "ssl.keystore.password": store_password,
            "log.dirs": self.folder / "kafka",
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            **single,
        })
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
        user = f"{MECHANISM}=[name=weir,password={password.read_text()}]"
        run(self.java(256, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", config, "--add-scram", user))
        self.run("kafka", self.java(640, "kafka.Kafka", config), lambda: answers(plain))
        self.where["kafka"] = {
            "plain": plain, "sasl": sasl, "tls": tls,
            "mechanism": MECHANISM, "user": "weir", "password": str(password), "certificate": str(certificate),
        }

    def registry(self):
        """Apicurio Registry, schemas in memory, with Confluent's API beside its own."""
        (port,) = free_ports(1)
        (runner,) = glob.glob(f"{jars.folder()}/registry/apicurio-registry-app-*-runner.jar")
        options = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={port}", "-Dquarkus.log.level=WARN"]
        flags = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self.run("registry", ["java", *flags, *options, "-jar", runner], lambda: answers(f"127.0.0.1:{port}"))
        self.where["registry"] = f"http://127.0.0.1:{port}/apis/ccompat/v7"
        self.where["apicurio"] = f"http://127.0.0.1:{port}/apis/registry/v2"

    def postgres(self):
        """PostgreSQL with logical decoding; user and database `weir`, whom loopback may trust with test data."""
        (port,) = free_ports(1)
        data, options = self.folder / "postgres", {}
        data.mkdir()
        if os.getuid() == 0:  # initdb and postgres refuse root: they run as the account that Debian made for them
            self.folder.chmod(0o711)
            shutil.chown(data, "postgres", "postgres")
            options = {"user": "postgres", "group": "postgres", "extra_groups": []}
        run([postgres_binary("initdb"), "-D", data, "-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"], **options)
        settings = {
            "port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "wal_level": "logical",
            "fsync": "off", "timezone": "UTC",
        }
        command = [postgres_binary("postgres"), "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        psql = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "weir", "-d", "postgres", "-qc"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.run("postgres", command, lambda: subprocess.run([*psql, "select 1"], **quiet).returncode == 0, **options)
        run([*psql, "create database weir"])
        self.where["postgres"] = port

    def debezium(self):
        """Kafka Connect, standalone, with Debezium's connector on the tables of `public`: topics shop.public.<table>."""
        (port,) = free_ports(1)
        worker = self.properties("connect", {
            "bootstrap.servers": self.where["kafka"]["plain"],
            "listeners": f"http://127.0.0.1:{port}",
            "offset.storage.file.filename": self.folder / "connect.offsets",
            "offset.flush.interval.ms": 500,
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        })
        settings = {
            "name": "shop",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": "127.0.0.1",
            "database.port": self.where["postgres"],
            "database.user": "weir",
            "database.dbname": "weir",
            "topic.prefix": "shop",
            "schema.include.list": "public",
            "publication.autocreate.mode": "filtered",
            "poll.interval.ms": 100,
            "heartbeat.interval.ms": 300,
            "topic.creation.default.replication.factor": 1,
            "topic.creation.default.partitions": 2,
        }
        for side in ("key.converter", "value.converter"):
            settings[side] = "io.apicurio.registry.utils.converter.AvroConverter"
            settings[f"{side}.apicurio.registry.url"] = self.where["apicurio"]
            settings[f"{side}.apicurio.registry.auto-register"] = "true"
            # Byte 0, 4 bytes of the id under which the Confluent API knows the schema, Avro.
            settings[f"{side}.apicurio.registry.as-confluent"] = "true"
            settings[f"{side}.apicurio.registry.use-id"] = "contentId"
            settings[f"{side}.apicurio.registry.headers.enabled"] = "false"
        connector = self.properties("debezium", settings)
        command = self.java(512, "org.apache.kafka.connect.cli.ConnectStandalone", worker, connector)
        self.run("debezium", command, lambda: answers(f"127.0.0.1:{port}"))
        self.where["connect"] = f"http://127.0.0.1:{port}"


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", **options)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout}")


def free_ports(count):
    """Different ones: each is held until all are found."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def answers(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
        return True
    except OSError:
        return False


def postgres_binary(name):
    """From the PATH, else where Debian keeps the newest version's."""
    found = shutil.which(name)
    return found or max(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None, key=lambda path: int(path.split("/")[4]))


def missing(part):
    """What this machine lacks for a part, in words."""
    if part == "postgres":
        return "" if postgres_binary("initdb") and shutil.which("psql") else "PostgreSQL's server or psql is not installed"
    java = shutil.which("java") and subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    version = java.split('"')[1].split(".")[0] if java and '"' in java else "0"
    if not version.isdigit() or int(version) < JAVA or not shutil.which("keytool"):
        return f"Java {JAVA} or later is not installed"
    return "" if jars.folder().exists() else "its jars are not in the cache (WEIR_REQUIRE=kafka ./dev test fetches them)"


def main():
    if sys.argv[1:2] == ["--missing"]:
        print(missing(sys.argv[2]), end="")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="weir-parts."))
    parts = Parts(folder)
    try:
        asked = " ".join(sys.argv[1:])
        while asked or (asked := sys.stdin.readline()):
            for name in asked.split():
                parts.start(name)
            print(json.dumps(parts.where), flush=True)
            asked = ""
    except KeyboardInterrupt:
        pass
    finally:
        parts.stop()
        if not os.environ.get("WEIR_PARTS_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
