"""Every figure, in the order of the table."""

from typing import Final

from testbed.bench import devices, fleet, footprint, join, modbus, offline, pods, telemetry
from testbed.bench.figure import Figure

ALL: Final = (
    Figure("pod_start_s", "s", 0.4, 0.97, pods.start),
    Figure("pod_delete_s", "s", 0.5, 3.0, pods.delete),
    Figure("pods10_s", "s", 1.0, 1.57, pods.ten),
    Figure("join_ready_s", "s", 0.8, 0.86, join.ready),
    Figure("edge_restart_s", "s", 0.34, 0.34, join.restart),
    Figure("edge_rss_idle_mib", "MiB", 50, 98, footprint.rss_idle),
    Figure("edge_rss_10pods_mib", "MiB", 50, 104, footprint.rss_with_pods),
    Figure("edge_anon_10pods_mib", "MiB", 27, 27, footprint.anonymous_with_pods),
    Figure("edge_cpu_idle_s_per_min", "s/min", 0.3, 0.32, footprint.cpu_idle),
    Figure("wire_idle_bytes_per_h", "B/h", 150_000, 1_360_000, footprint.wire_idle),
    Figure("disk_idle_bytes_per_h", "B/h", 1_000_000, None, footprint.disk_idle),
    Figure("cloud_kib_per_node", "KiB", 80, 275, fleet.memory_per_node),
    Figure("cloud_cpu_s_per_min_1000", "s/min", 4.5, 9.1, fleet.cpu_at_1000),
    Figure("offline_boot_s", "s", 1.0, 1.2, offline.boot),
    Figure("offline_restart_container_s", "s", 0.3, 0.95, offline.restart_container),
    Figure("resync_10000_s", "s", None, None, fleet.resync),
    Figure("desired_to_register_s", "s", 0.02, 0.017, devices.desired_to_register),
    Figure("register_to_status_s", "s", 0.05, None, devices.register_to_status),
    Figure("reports_per_s", "1/s", None, 1.0, devices.reports_per_s),
    Figure("api_writes_per_min_100devices", "1/min", None, 60_000, devices.api_writes),
    Figure("edge_rss_100devices_mib", "MiB", 52, 105, devices.rss),
    Figure("edge_anon_100devices_mib", "MiB", 30, 28, devices.anonymous),
    Figure("flash_bytes_per_sample", "B", 60, None, telemetry.flash_bytes_per_sample),
    Figure("modbus_properties_per_s", "1/s", None, None, modbus.speed),
    Figure("modbus_speedup", "times", None, None, modbus.speedup),
    Figure("modbus_write_under_load_s", "s", 0.02, None, modbus.write_under_load),
)
