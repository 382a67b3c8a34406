using System.Collections.Concurrent;
using Gongzhi.Core.Storage;
using Npgsql;

namespace Gongzhi.Tests.Shared;

/// <summary>
/// Which SQL database the tests of this run work on: SQLite, or with GONGZHI_TEST_STORE=postgres a PostgreSQL database for each data directory. The same tests run on both; those that
/// are about SQLite's own file say so (<see cref="OnlySqlite"/>).
/// </summary>
public static class TestStore
{
    private static readonly ConcurrentDictionary<string, Task<string>> Databases = new(StringComparer.Ordinal);

    public static bool IsPostgres { get; } = Environment.GetEnvironmentVariable("GONGZHI_TEST_STORE") == "postgres";

    /// <summary>The database of a data directory, the same each time it is asked for; null on SQLite.</summary>
    public static PostgresAddress? Of(string directory) =>
        IsPostgres ? new PostgresAddress(Databases.GetOrAdd(Path.GetFullPath(directory), _ => NewAsync()).GetAwaiter().GetResult()) : null;

    /// <summary>Removes the database with its data directory.</summary>
    public static void Drop(string directory)
    {
        if (!Databases.TryRemove(Path.GetFullPath(directory), out var made))
            return;
        var name = new NpgsqlConnectionStringBuilder(made.GetAwaiter().GetResult()).Database;
        PostgresServer.Shared.GetAwaiter().GetResult().ExecuteAsync($"DROP DATABASE {name} WITH (FORCE)").GetAwaiter().GetResult();
    }

    public static void OnlySqlite() => Assert.SkipWhen(IsPostgres, "This is about SQLite's own file.");

    private static async Task<string> NewAsync()
    {
        if (PostgresServer.Missing is { } missing)
            throw new InvalidOperationException(missing);
        return await (await PostgresServer.Shared.ConfigureAwait(false)).NewDatabaseAsync().ConfigureAwait(false);
    }
}
