using System.Data;
using System.Globalization;
using System.Text.Json;
using Npgsql;
using NpgsqlTypes;
using Orleans.Runtime;

namespace Gongzhi.Node.Cluster;

/// <summary>
/// Who is in the cluster, kept in PostgreSQL: one row of version for each cluster, and one row for each silo. Every change names the version it was made from and raises it in the same
/// transaction, so that of several writers exactly one wins; the others are answered false and read again.
/// </summary>
/// <remarks>
/// Each operation opens a connection of its own: they are seconds apart, so keeping one gains nothing, and none can be stale after a restart of the server. Nothing waits for ever:
/// connecting, each statement, each lock and the operation as a whole have limits. What cannot be reached is an exception, what lost against another writer is false.
/// </remarks>
internal sealed class PostgresMembership : IMembershipTable
{
    /// <summary>One operation, from connecting to the answer. Silos look at the table every few seconds and try again.</summary>
    public static readonly TimeSpan OperationLimit = TimeSpan.FromSeconds(10);

    private const string Tables = """
        CREATE TABLE IF NOT EXISTS cluster_version (
            cluster_id text PRIMARY KEY,
            version integer NOT NULL);
        CREATE TABLE IF NOT EXISTS cluster_silo (
            cluster_id text NOT NULL,
            address text NOT NULL,
            etag integer NOT NULL,
            status smallint NOT NULL,
            silo_name text NOT NULL,
            host_name text NOT NULL,
            proxy_port integer NOT NULL,
            start_time timestamptz NOT NULL,
            alive_time timestamptz NOT NULL,
            suspects text NOT NULL,
            PRIMARY KEY (cluster_id, address));
        """;

    // The version moves in the same statement only if the rest of the condition holds; whoever waited for its row sees the new version and changes nothing.
    private const string Insert = """
        WITH moved AS (
            UPDATE cluster_version SET version = $4
            WHERE cluster_id = $1 AND version = $3 AND version < $4
              AND NOT EXISTS (SELECT 1 FROM cluster_silo WHERE cluster_id = $1 AND address = $2)
            RETURNING version)
        INSERT INTO cluster_silo (cluster_id, address, etag, status, silo_name, host_name, proxy_port, start_time, alive_time, suspects)
        SELECT $1, $2, version, $5, $6, $7, $8, $9, $10, $11 FROM moved
        """;

    private const string Update = """
        WITH moved AS (
            UPDATE cluster_version SET version = $4
            WHERE cluster_id = $1 AND version = $3 AND version < $4
              AND EXISTS (SELECT 1 FROM cluster_silo WHERE cluster_id = $1 AND address = $2 AND etag = $12)
            RETURNING version)
        UPDATE cluster_silo SET etag = moved.version, status = $5, silo_name = $6, host_name = $7, proxy_port = $8, start_time = $9, alive_time = $10, suspects = $11
        FROM moved WHERE cluster_id = $1 AND address = $2 AND etag = $12
        """;

    // Version and rows in one statement, so of one moment. A cluster without silos is one row whose address is null.
    private const string Read = """
        SELECT v.version, s.address, s.etag, s.status, s.silo_name, s.host_name, s.proxy_port, s.start_time, s.alive_time, s.suspects
        FROM cluster_version v LEFT JOIN cluster_silo s ON s.cluster_id = v.cluster_id AND ($2::text IS NULL OR s.address = $2)
        WHERE v.cluster_id = $1
        """;

    private readonly string _connection;
    private readonly string _cluster;

    /// <param name="connection">An Npgsql connection string; limits of time are added to it.</param>
    /// <param name="cluster">The cluster whose rows these are; several may share the tables.</param>
    /// <exception cref="ArgumentException">The connection string cannot be read.</exception>
    public PostgresMembership(string connection, string cluster)
    {
        _cluster = cluster;
        var settings = new NpgsqlConnectionStringBuilder(connection)
        {
            ApplicationName = "gongzhi silo",
            Pooling = false,
            Timeout = 5,
            CommandTimeout = 5,
            CancellationTimeout = 2_000,
            IncludeErrorDetail = false,
        };
        // The server's own limits hold when this machine stands still in the middle of a transaction.
        settings.Options = $"{settings.Options} -c statement_timeout=5000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=10000".TrimStart();
        _connection = settings.ConnectionString;
    }

    public Task InitializeMembershipTable(bool tryInitTableVersion) => InitializeMembershipTableAsync(tryInitTableVersion, CancellationToken.None);

    public Task InitializeMembershipTableAsync(bool tryInitTableVersion, CancellationToken cancellationToken) => InTransactionAsync(async (connection, cancel) =>
    {
        // Two that create at one time trip over each other's catalogue rows in spite of IF NOT EXISTS; the lock lets one after the other. Its number is ours alone: "gongzhi" in ASCII.
        await ExecuteAsync(connection, "SELECT pg_advisory_xact_lock(29114442574358633); " + Tables, cancel).ConfigureAwait(false);
        if (tryInitTableVersion)
            await ExecuteAsync(connection, "INSERT INTO cluster_version (cluster_id, version) VALUES ($1, 0) ON CONFLICT DO NOTHING", cancel, Text(_cluster)).ConfigureAwait(false);
        return true;
    }, cancellationToken);

    public Task DeleteMembershipTableEntries(string clusterId) => DeleteMembershipTableEntriesAsync(clusterId, CancellationToken.None);

    /// <summary>Forgets all silos of a cluster. The version stays and rises: one that began again at 0 would be taken for old by silos that still run.</summary>
    public Task DeleteMembershipTableEntriesAsync(string clusterId, CancellationToken cancellationToken) => InTransactionAsync(async (connection, cancel) =>
    {
        await ExecuteAsync(connection, "UPDATE cluster_version SET version = version + 1 WHERE cluster_id = $1", cancel, Text(clusterId)).ConfigureAwait(false);
        await ExecuteAsync(connection, "DELETE FROM cluster_silo WHERE cluster_id = $1", cancel, Text(clusterId)).ConfigureAwait(false);
        return true;
    }, cancellationToken);

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => CleanupDefunctSiloEntriesAsync(beforeDate, CancellationToken.None);

    /// <summary>Forgets the dead that gave their last sign of life before a time. Nobody living is touched, so the version need not rise.</summary>
    public Task CleanupDefunctSiloEntriesAsync(DateTimeOffset beforeDate, CancellationToken cancellationToken) => InTransactionAsync(async (connection, cancel) =>
    {
        await ExecuteAsync(connection, "DELETE FROM cluster_silo WHERE cluster_id = $1 AND status = $2 AND greatest(start_time, alive_time) < $3", cancel,
            Text(_cluster), Status(SiloStatus.Dead), Time(beforeDate.UtcDateTime)).ConfigureAwait(false);
        return true;
    }, cancellationToken);

    public Task<MembershipTableData> ReadRow(SiloAddress key) => ReadRowAsync(key, CancellationToken.None);

    public Task<MembershipTableData> ReadRowAsync(SiloAddress key, CancellationToken cancellationToken) => ReadAsync(key.ToParsableString(), cancellationToken);

    public Task<MembershipTableData> ReadAll() => ReadAllAsync(CancellationToken.None);

    public Task<MembershipTableData> ReadAllAsync(CancellationToken cancellationToken) => ReadAsync(null, cancellationToken);

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => InsertRowAsync(entry, tableVersion, CancellationToken.None);

    public Task<bool> InsertRowAsync(MembershipEntry entry, TableVersion tableVersion, CancellationToken cancellationToken) =>
        ChangeAsync(Insert, entry, tableVersion, null, cancellationToken);

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => UpdateRowAsync(entry, etag, tableVersion, CancellationToken.None);

    public Task<bool> UpdateRowAsync(MembershipEntry entry, string etag, TableVersion tableVersion, CancellationToken cancellationToken) =>
        ChangeAsync(Update, entry, tableVersion, etag, cancellationToken);

    public Task UpdateIAmAlive(MembershipEntry entry) => UpdateIAmAliveAsync(entry, CancellationToken.None);

    /// <summary>A sign of life: touches neither etag nor version, so it never gets in the way of a change.</summary>
    public Task UpdateIAmAliveAsync(MembershipEntry entry, CancellationToken cancellationToken) => InTransactionAsync(async (connection, cancel) =>
    {
        await ExecuteAsync(connection, "UPDATE cluster_silo SET alive_time = $3 WHERE cluster_id = $1 AND address = $2", cancel,
            Text(_cluster), Text(entry.SiloAddress.ToParsableString()), Time(entry.IAmAliveTime)).ConfigureAwait(false);
        return true;
    }, cancellationToken);

    private async Task<bool> ChangeAsync(string statement, MembershipEntry entry, TableVersion version, string? etag, CancellationToken cancellationToken)
    {
        // What was never handed out here cannot be what the table holds.
        if (!TryEtag(version.VersionEtag, out var from) || !TryEtag(etag ?? "0", out var row))
            return false;
        NpgsqlParameter[] parameters =
        [
            Text(_cluster), Text(entry.SiloAddress.ToParsableString()), Number(from), Number(version.Version), Status(entry.Status), Text(entry.SiloName ?? ""), Text(entry.HostName ?? ""),
            Number(entry.ProxyPort), Time(entry.StartTime), Time(entry.IAmAliveTime), Text(Suspects(entry)),
        ];
        if (etag is not null)
            parameters = [.. parameters, Number(row)];
        try
        {
            return await InTransactionAsync(async (connection, cancel) => await ExecuteAsync(connection, statement, cancel, parameters).ConfigureAwait(false) == 1, cancellationToken)
                .ConfigureAwait(false);
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.UniqueViolation or PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.LockNotAvailable)
        {
            // Another writer was there at the same moment; nothing was changed.
            return false;
        }
    }

    private Task<MembershipTableData> ReadAsync(string? address, CancellationToken cancellationToken) => InTransactionAsync(async (connection, cancel) =>
    {
        var command = new NpgsqlCommand(Read, connection) { Parameters = { Text(_cluster), Text(address) } };
        await using var closing = command.ConfigureAwait(false);
        var reader = await command.ExecuteReaderAsync(cancel).ConfigureAwait(false);
        await using var ending = reader.ConfigureAwait(false);
        var version = 0;
        var members = new List<Tuple<MembershipEntry, string>>();
        while (await reader.ReadAsync(cancel).ConfigureAwait(false))
        {
            version = reader.GetInt32(0);
            if (!reader.IsDBNull(1))
                members.Add(Tuple.Create(Entry(reader), reader.GetInt32(2).ToString(CultureInfo.InvariantCulture)));
        }
        return new MembershipTableData(members, new TableVersion(version, version.ToString(CultureInfo.InvariantCulture)));
    }, cancellationToken);

    private static MembershipEntry Entry(NpgsqlDataReader row) => new()
    {
        SiloAddress = SiloAddress.FromParsableString(row.GetString(1)),
        Status = (SiloStatus)row.GetInt16(3),
        SiloName = row.GetString(4),
        HostName = row.GetString(5),
        ProxyPort = row.GetInt32(6),
        StartTime = row.GetDateTime(7),
        IAmAliveTime = row.GetDateTime(8),
        SuspectTimes = [.. JsonSerializer.Deserialize<Vote[]>(row.GetString(9))!.Select(v => Tuple.Create(SiloAddress.FromParsableString(v.Silo), v.At))],
    };

    /// <summary>One transaction; what answers false or fails leaves nothing behind.</summary>
    private async Task<T> InTransactionAsync<T>(Func<NpgsqlConnection, CancellationToken, Task<T>> work, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(OperationLimit);
        try
        {
            var connection = new NpgsqlConnection(_connection);
            await using var closing = connection.ConfigureAwait(false);
            await connection.OpenAsync(limit.Token).ConfigureAwait(false);
            // Named, since a server may be set to another default.
            var transaction = await connection.BeginTransactionAsync(IsolationLevel.ReadCommitted, limit.Token).ConfigureAwait(false);
            await using var ending = transaction.ConfigureAwait(false);
            var answer = await work(connection, limit.Token).ConfigureAwait(false);
            if (answer is false)
                await transaction.RollbackAsync(limit.Token).ConfigureAwait(false);
            else
                await transaction.CommitAsync(limit.Token).ConfigureAwait(false);
            return answer;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException($"PostgreSQL did not answer about the cluster within {OperationLimit.TotalSeconds:0} s.");
        }
    }

    private static async Task<int> ExecuteAsync(NpgsqlConnection connection, string statement, CancellationToken cancel, params NpgsqlParameter[] parameters)
    {
        var command = new NpgsqlCommand(statement, connection);
        await using var closing = command.ConfigureAwait(false);
        command.Parameters.AddRange(parameters);
        return await command.ExecuteNonQueryAsync(cancel).ConfigureAwait(false);
    }

    private static bool TryEtag(string? etag, out int number) => int.TryParse(etag, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    private static string Suspects(MembershipEntry entry) =>
        JsonSerializer.Serialize((entry.SuspectTimes ?? []).Select(v => new Vote(v.Item1.ToParsableString(), DateTime.SpecifyKind(v.Item2, DateTimeKind.Utc))));

    private static NpgsqlParameter Text(string? value) => new() { NpgsqlDbType = NpgsqlDbType.Text, Value = (object?)value ?? DBNull.Value };

    private static NpgsqlParameter<int> Number(int value) => new() { TypedValue = value };

    private static NpgsqlParameter<short> Status(SiloStatus value) => new() { TypedValue = (short)value };

    // The times are UTC by contract, whatever their kind says.
    private static NpgsqlParameter<DateTime> Time(DateTime value) => new() { NpgsqlDbType = NpgsqlDbType.TimestampTz, TypedValue = DateTime.SpecifyKind(value, DateTimeKind.Utc) };

    /// <summary>That one silo holds another for dead.</summary>
    private sealed record Vote(string Silo, DateTime At);
}
