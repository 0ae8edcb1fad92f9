"""pg8000 against PostgreSQL: a password by SCRAM, parameters, types, a transaction, and an error."""

import datetime

import pg8000.dbapi
import pg8000.native
import place

settings = {"user": "guest", "password": "secret", "host": place.HOST, "port": place.PORT, "database": "postgres"}
settings["ssl_context"] = place.context()
connection = pg8000.native.Connection(**settings)
assert connection.run("SELECT :a + 1", a=41) == [[42]]
assert connection.run("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == [[place.TLS]]
connection.run("DROP TABLE IF EXISTS t")
connection.run("CREATE TABLE t (id serial PRIMARY KEY, name text, at timestamp)")
moment = datetime.datetime(2026, 11, 30, 12, 21)
for name in ("one", "zwei", "три"):
    connection.run("INSERT INTO t (name, at) VALUES (:name, :at)", name=name, at=moment)
assert connection.run("SELECT name, at FROM t ORDER BY id") == [["one", moment], ["zwei", moment], ["три", moment]]
try:
    connection.run("SELECT nonsense")
except pg8000.native.DatabaseError as error:
    assert error.args[0]["C"] == "42703"
connection.close()
with pg8000.dbapi.connect(**settings) as connection:
    cursor = connection.cursor()
    cursor.execute("DELETE FROM t")
    connection.rollback()
    cursor.execute("SELECT count(*) FROM t")
    assert list(cursor.fetchone()) == [3]
    cursor.execute("SELECT repeat('x', 300000)")
    assert len(cursor.fetchone()[0]) == 300_000
print("ok")
