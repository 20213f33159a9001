"""MemOS's own server, unmodified but for one repair; started by `memos_server` in the server's environment.

Usage: `python memos_app.py PORT`; everything else it reads, as MemOS does, from environment variables.
"""

import json
import os
import sys

import psycopg2
import uvicorn
from memos.api.server_api import app  # importing it connects to the database and makes the tables
from psycopg2.extensions import new_type, register_type


def read_vectors_as_lists() -> None:
    """Make psycopg2 read pgvector's columns as lists of numbers.

    MemoryOS 2.0.33 hands on what psycopg2 gives it, a string like `[0.1,0.2]`. Searches that compare memories
    with each other, as all do by default, then find nothing, and answer 200 (MemTensor/MemOS#2229).
    """
    connection = psycopg2.connect(
        host=os.environ["POSTGRES_HOST"], user=os.environ["POSTGRES_USER"], dbname=os.environ["POSTGRES_DB"]
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'vector'::regtype::oid")
        (oid,) = cursor.fetchone()
    connection.close()
    register_type(new_type((oid,), "vector", lambda text, _cursor: text and json.loads(text)))


if __name__ == "__main__":
    read_vectors_as_lists()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
