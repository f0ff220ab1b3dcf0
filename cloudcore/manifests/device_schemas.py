"""Schemas of ``devices.kubeedge.io/v1beta1``: what YAML written for KubeEdge says, and what we add. Pure.

Where objects of the older shape are stored under this version (nothing converts them in the API server), members that
this version does not know are kept. Ours: ``nodeName``, ``conditions`` and ``ledger`` of a DeviceStatus.
"""

from cloudcore.manifests.schema import Schema, anything, fields, flag, root, several, text, texts, untyped, whole


def device_model() -> Schema:
    """What all devices of one kind have in common."""
    spec = fields(
        "What all devices of this model have in common.",
        keeps=True,
        protocol=text("Name of the protocol, as drivers and mappers register it: modbus, mqtt, …"),
        protocolConfigData=anything("How to connect, unless the device says otherwise.", null=True),
        properties=several("The properties; their names are unique.", _model_property()),
    )
    return root("What is known of a type of device: its properties, their types, how to reach them.", spec=spec)


def _model_property() -> Schema:
    return fields(
        "One property.",
        name=text("Its name, unique within the model."),
        description=text("For people."),
        type=untyped("What a value is.", "INT", "FLOAT", "DOUBLE", "STRING", "BOOLEAN", "BYTES", "STREAM"),
        accessMode=text("Whether it may be written.", "ReadWrite", "ReadOnly"),
        minimum=text("Smallest value, as text. A desired value below it is rejected."),
        maximum=text("Largest value, as text. A desired value above it is rejected."),
        unit=text("Unit of a value."),
        visitors=_visitors("How to reach the property, unless the device says otherwise."),
    )


def device() -> Schema:
    """One device on one node."""
    spec = fields(
        "What the device is, where it is, and what is wanted of it.",
        keeps=True,
        deviceModelRef=fields(
            "Its model, in the same namespace.", name={**text("Name of the DeviceModel."), "default": ""}
        ),
        nodeName=text("Edge node that the device is connected to. Empty: it is connected to none."),
        properties=several("What differs from the model, and what is wanted.", _device_property()),
        protocol=fields(
            "How to reach the device.",
            keeps=True,
            protocolName=text("Name of the protocol; it decides which driver or mapper works with the device."),
            configData=anything("How to connect, in the protocol's own words.", null=True),
        ),
        methods=several("Named sets of properties that may be written.", _method()),
        stateReport=fields(
            "Whether and how often the device's state is reported.",
            reportToCloud=flag("Whether it is reported."),
            reportCycle=whole("Milliseconds between two checks."),
        ),
    )
    status = fields(
        "What is known of the device at a glance; the whole is in its DeviceStatus.",
        keeps=True,
        reportToCloud=flag("Used where spec.stateReport is absent."),
        reportCycle=whole("Used where spec.stateReport is absent."),
        state=text("State as last reported."),
        lastOnlineTime=text("When the device last answered."),
        lost=whole("Samples that were dropped before anybody took them."),
    )
    return root("A device that is connected to an edge node.", spec=spec, status=status)


def _device_property() -> Schema:
    return fields(
        "One property of this device.",
        name=text("Name of a property of the model."),
        desired=_value("What the property is to be. Metadata: timestamp, type, and expires (when the wish is void)."),
        visitors=_visitors("How to reach the property; overlays what the model says."),
        collectCycle=whole("Milliseconds between two reads."),
        reportCycle=whole("Milliseconds between two samples that are pushed."),
        reportToCloud=flag("Whether its value is reported to the DeviceStatus."),
        pushMethod=_push(),
    )


def _method() -> Schema:
    return fields(
        "One method.",
        name=text("Its name."),
        description=text("For people."),
        propertyNames=several("The properties it may write.", {"type": "string"}),
    )


def _visitors(says: str) -> Schema:
    return fields(
        says,
        protocolName=text("Name of the protocol."),
        configData=anything("Where the property is found, in the protocol's own words.", null=True),
    )


def _value(says: str) -> Schema:
    return fields(says, needs=("value",), value=text("The value, as text."), metadata=texts("Facts about the value."))


_FORMAT = "Form of a sample: text, KubeEdge's own (the default), or json, numbered and complete."


def _push() -> Schema:
    http = fields(
        "To an HTTP server.",
        hostName=text("Scheme and host."),
        port=whole("Port."),
        requestPath=text("Path of the URL."),
        timeout=whole("Seconds to wait for the answer."),
        format=text(_FORMAT),
    )
    mqtt = fields(
        "To an MQTT broker.",
        address=text("Broker, such as tcp://broker.example:1883."),
        topic=text("Topic."),
        qos=whole("Quality of service: 0, 1 or 2.", 32),
        retained=flag("Whether the broker keeps the last value."),
        format=text(_FORMAT),
    )
    return fields(
        "Where samples of this property go from the edge.",
        http=http,
        mqtt=mqtt,
        otel=fields("As an OpenTelemetry metric.", endpointURL=text("OTLP/HTTP URL for metrics.")),
        dbMethod=_databases(),
        anomalyDetection=anything("Handed to the mapper as it is.", null=True),
    )


def _databases() -> Schema:
    influx_client = fields("Connection.", url=text("URL."), org=text("Organisation."), bucket=text("Bucket."))
    influx_data = fields(
        "Form.", measurement=text("Measurement."), tag=texts("Tags."), fieldKey=text("Name of the field.")
    )
    redis = fields(
        "Connection.",
        addr=text("Address."),
        db=whole("Number of the database."),
        poolsize=whole("Connections at most."),
        minIdleConns=whole("Connections kept open."),
    )
    td_engine = fields("Connection.", addr=text("Address."), dbName=text("Database."))
    mysql = fields("Connection.", addr=text("Address."), database=text("Database."), userName=text("User."))
    return fields(
        "To a database. Secrets are not written here.",
        influxdb2=fields("InfluxDB 2.", influxdb2ClientConfig=influx_client, influxdb2DataConfig=influx_data),
        redis=fields("Redis.", redisClientConfig=redis),
        TDEngine=fields("TDengine.", TDEngineClientConfig=td_engine),
        mysql=fields("MySQL.", mysqlClientConfig=mysql),
    )


def device_status() -> Schema:
    """What the edge says of a device."""
    twin = fields(
        "One property.",
        propertyName=text("Name of the property."),
        reported=_value("What the device last said."),
        observedDesired=_value("The desired value as the edge works with it. Metadata state: what became of it."),
    )
    status = fields(
        "As last reported by the edge.",
        keeps=True,
        twins=several("Reported and desired value of each property.", twin),
        state=text("State of the device, such as online or offline."),
        lastOnlineTime=text("When the device last answered, RFC 3339."),
        extensions=anything("For others; never written by CloudCore.", null=True),
        nodeName=text("Edge node that reported."),
        conditions=several("Why the device works or does not.", _condition()),
        ledger=_ledger(),
    )
    return root(
        "State and values of the Device of the same name.",
        spec=anything("Always empty.", null=True),
        status=status,
    )


def _condition() -> Schema:
    return fields(
        "One aspect.",
        type=text("Ready: the device works. Delivered: it is known to its node."),
        status=text("True, False or Unknown."),
        reason=text("One word for programs."),
        message=text("One sentence for people."),
        lastTransitionTime=text("When the status last changed."),
    )


def _ledger() -> Schema:
    return fields(
        "What became of the samples of this device.",
        keeps=True,
        produced=whole("Read from the device."),
        stored=whole("Kept at the edge."),
        sent=whole("Handed to a receiver."),
        acknowledged=whole("Taken by all receivers."),
        dropped=whole("Lost: dropped before all receivers had them."),
        missedDeadlines=whole("Reads that came later than their collectCycle."),
        because={
            "type": "object",
            "description": "How many were dropped, by reason.",
            "additionalProperties": {"type": "integer", "format": "int64"},
        },
    )
