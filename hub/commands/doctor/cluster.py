"""A database that is spread over a Citus cluster: every node there, every table where it is to be, no node overfull."""

from pathlib import Path

from hub.commands.doctor.finding import Report, at, psql
from hub.store import Connection, distributing
from hub.store.layout import layout


async def check(report: Report, connection: Connection, data: Path, file: Path | None) -> None:
    """Of a database without workers there is nothing to say."""
    if await connection.fetchval("SELECT to_regclass('pg_dist_node')") is None:
        return
    if not await connection.fetchval("SELECT count(*) FROM pg_dist_node WHERE groupid > 0"):
        return
    report.looked.append("cluster")
    if await _away(report, connection):
        return  # what is asked next is asked of all
    laid = await distributing.laid_out(connection)
    for one in distributing.misplaced(laid):
        report.error("cluster-laid-out-otherwise", "集群中有表放错了位置", one.why, psql(one.mend))
    if missing := [table for table in layout().spread if table not in laid]:
        report.warning("cluster-not-spread", f"{len(missing)} 个表还没有分布到集群",
                       f"not spread over the cluster: {', '.join(missing)}",
                       f"xieban store distribute --run {at(data, file)}")  # fmt: skip
    elif moves := await connection.fetchval("SELECT count(*) FROM get_rebalance_table_shards_plan()"):
        report.warning("cluster-uneven", f"各节点分片不均，需移动 {moves} 个",
                       f"the nodes hold unequal parts: {moves} shards would move",
                       f"xieban store rebalance {at(data, file)}")  # fmt: skip


async def _away(report: Report, connection: Connection) -> bool:
    """Whether a node is not there: it is started, or its standby takes its place."""
    await connection.execute("SET citus.node_connection_timeout TO 5000")
    found = [row for row in await connection.fetch(_NODES) if not (row["success"] and row["isactive"])]
    for row in found:
        node = f"{row['nodename']}:{row['nodeport']}"
        mend = f"SELECT citus_update_node({row['nodeid']}, 'STANDBY', 5432)"
        if row["success"]:
            mend = f"SELECT citus_activate_node('{row['nodename']}', {row['nodeport']})"
        report.error("cluster-node-away", f"集群节点 {node} 不在：启动它，或换上它的备机",
                     f"the node {node} of the cluster is away: start it, or have its standby take its place",
                     psql(mend))  # fmt: skip
    return bool(found)


_NODES = """
SELECT nodeid, nodename, nodeport, success, isactive FROM run_command_on_all_nodes(
    'SELECT 1', give_warning_for_connection_errors := true
) JOIN pg_dist_node USING (nodeid) ORDER BY nodeid
"""
