"""Puts into a repository of restic what restic itself would never write: a snapshot of one directory whose names
are given. Whoever has the password can do this.

    share_forge.py REPOSITORY PASSWORD-FILE TREE.json    prints the id of the snapshot

The format is that of restic's doc/design.rst (repository version 2, uncompressed blobs and files).
"""

import base64
import hashlib
import json
import os
import struct
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305


class Keys:
    def __init__(self, encrypt, k, r):
        self.encrypt, self.k, self.r = encrypt, k, r

    def tag(self, nonce, text):
        encryptor = Cipher(algorithms.AES(self.k), modes.ECB()).encryptor()
        return Poly1305.generate_tag(self.r + encryptor.update(nonce), text)

    def seal(self, plain):
        nonce = os.urandom(16)
        text = Cipher(algorithms.AES(self.encrypt), modes.CTR(nonce)).encryptor().update(plain)
        return nonce + text + self.tag(nonce, text)

    def open(self, sealed):
        nonce, text, tag = sealed[:16], sealed[16:-16], sealed[-16:]
        assert self.tag(nonce, text) == tag, "wrong password?"
        return Cipher(algorithms.AES(self.encrypt), modes.CTR(nonce)).decryptor().update(text)


def master(repository, password):
    name = os.listdir(f"{repository}/keys")[0]
    key = json.load(open(f"{repository}/keys/{name}"))
    salt = base64.b64decode(key["salt"])
    derived = hashlib.scrypt(password, salt=salt, n=key["N"], r=key["r"], p=key["p"], maxmem=1 << 30, dklen=64)
    user = Keys(derived[:32], derived[32:48], derived[48:])
    inner = json.loads(user.open(base64.b64decode(key["data"])))
    decode = base64.b64decode
    return Keys(decode(inner["encrypt"]), decode(inner["mac"]["k"]), decode(inner["mac"]["r"]))


def put(directory, content):
    name = hashlib.sha256(content).hexdigest()
    if directory.endswith("data"):
        directory = f"{directory}/{name[:2]}"
    os.makedirs(directory, exist_ok=True)
    with open(f"{directory}/{name}", "wb") as file:
        file.write(content)
    return name


def main():
    repository, password, tree = sys.argv[1:]
    keys = master(repository, open(password, "rb").read().strip())
    # One directory, and a file's content that entries may name as CONTENT.
    content = b"forged"
    digest = hashlib.sha256(content).hexdigest()
    text = json.dumps(json.load(open(tree)), separators=(",", ":")).replace("CONTENT", digest).encode() + b"\n"
    for kind, blob in ((0, content), (1, text)):
        sealed = keys.seal(blob)
        identity = hashlib.sha256(blob).digest()
        header = keys.seal(struct.pack("<BI", kind, len(sealed)) + identity)
        pack = put(f"{repository}/data", sealed + header + struct.pack("<I", len(header)))
        blobs = [{"id": identity.hex(), "type": ("data", "tree")[kind], "offset": 0, "length": len(sealed)}]
        put(f"{repository}/index", keys.seal(json.dumps({"packs": [{"id": pack, "blobs": blobs}]}).encode()))
    snapshot = {
        "time": "2030-01-01T00:00:00Z",
        "tree": hashlib.sha256(text).hexdigest(),
        "paths": ["/forged"],
        "hostname": "larder",
        "tags": ["larder-share", "data"],
    }
    print(put(f"{repository}/snapshots", keys.seal(json.dumps(snapshot).encode())))


main()
