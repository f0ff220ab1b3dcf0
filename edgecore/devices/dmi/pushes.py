"""``pushMethod`` of a device's property as a message. Pure."""

from edgecore.devices.dmi import anyvalues
from edgecore.devices.dmi.parts import INT32, loose, members, text, texts, whole
from edgecore.devices.dmi.pb import dmi_pb2 as pb


def fill(message: pb.PushMethod, push: object, *, floats: bool, path: str) -> list[str]:
    """Fill *message* with what *push* has; returns what changed shape. Member names match in any case."""
    if (http := loose(push, "http")) is not None:
        message.http.CopyFrom(
            pb.PushMethodHTTP(
                hostname=text(loose(http, "hostName")),
                port=whole(loose(http, "port")),
                requestpath=text(loose(http, "requestPath")),
                timeout=whole(loose(http, "timeout")),
            )
        )
    if (mqtt := loose(push, "mqtt")) is not None:
        message.mqtt.CopyFrom(
            pb.PushMethodMQTT(
                address=text(loose(mqtt, "address")),
                topic=text(loose(mqtt, "topic")),
                qos=whole(loose(mqtt, "qos"), INT32),
                retained=loose(mqtt, "retained") is True,
            )
        )
    if (otel := loose(push, "otel")) is not None:
        message.otel.CopyFrom(pb.PushMethodOTEL(endpointURL=text(loose(otel, "endpointURL"))))
    if (database := loose(push, "dbMethod")) is not None:
        _fill_database(message.dbMethod, database)
    if (anomaly := loose(push, "anomalyDetection")) is not None:
        message.anomalyDetection.SetInParent()
        return anyvalues.fill(
            message.anomalyDetection.data, members(anomaly), floats=floats, path=f"{path}.anomalyDetection"
        )
    return []


def _fill_database(message: pb.DBMethod, database: object) -> None:
    if (influx := loose(database, "influxdb2")) is not None:
        client, data = loose(influx, "influxdb2ClientConfig"), loose(influx, "influxdb2DataConfig")
        message.influxdb2.influxdb2ClientConfig.CopyFrom(
            pb.Influxdb2ClientConfig(
                url=text(loose(client, "url")), org=text(loose(client, "org")), bucket=text(loose(client, "bucket"))
            )
        )
        message.influxdb2.influxdb2DataConfig.CopyFrom(
            pb.Influxdb2DataConfig(
                measurement=text(loose(data, "measurement")),
                tag=texts(loose(data, "tag")),
                fieldKey=text(loose(data, "fieldKey")),
            )
        )
    if (redis := loose(database, "redis")) is not None:
        client = loose(redis, "redisClientConfig")
        message.redis.redisClientConfig.CopyFrom(
            pb.RedisClientConfig(
                addr=text(loose(client, "addr")),
                db=whole(loose(client, "db"), INT32),
                poolsize=whole(loose(client, "poolsize"), INT32),
                minIdleConns=whole(loose(client, "minIdleConns"), INT32),
            )
        )
    if (tdengine := loose(database, "TDEngine")) is not None:
        client = loose(tdengine, "TDEngineClientConfig")
        message.tdengine.tdEngineClientConfig.CopyFrom(
            pb.TDEngineClientConfig(addr=text(loose(client, "addr")), dbname=text(loose(client, "dbName")))
        )
    if (mysql := loose(database, "mysql")) is not None:
        client = loose(mysql, "mysqlClientConfig")
        message.mysql.mysqlClientConfig.CopyFrom(
            pb.MySQLClientConfig(
                addr=text(loose(client, "addr")),
                database=text(loose(client, "database")),
                userName=text(loose(client, "userName")),
            )
        )
