"""PyMySQL against MariaDB: a password, parameters, types, a transaction, and an error."""

import decimal

import place
import pymysql

settings = {"user": "guest", "password": "secret", "host": place.HOST, "port": place.PORT, "database": "test", "ssl": place.context()}
with pymysql.connect(**settings) as connection:
    with connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert bool(cursor.fetchone()[1]) is place.TLS
        cursor.execute("DROP TABLE IF EXISTS t")
        cursor.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT, price DECIMAL(6,2))")
        cursor.executemany("INSERT INTO t (name, price) VALUES (%s, %s)", [("one", "1.50"), ("три", "2.25")])
        connection.commit()
        cursor.execute("SELECT name, price FROM t ORDER BY id")
        assert cursor.fetchall() == (("one", decimal.Decimal("1.50")), ("три", decimal.Decimal("2.25")))
        cursor.execute("DELETE FROM t")
        connection.rollback()
        cursor.execute("SELECT count(*) FROM t")
        assert cursor.fetchone() == (2,)
        cursor.execute("SELECT repeat('x', 300000)")
        assert len(cursor.fetchone()[0]) == 300_000
        try:
            cursor.execute("SELECT nonsense")
        except pymysql.err.OperationalError as error:
            assert error.args[0] == 1054
print("ok")
