using Microsoft.Data.Sqlite;

namespace Gongzhi.Core.Storage;

/// <summary>The prepared statements of the writer's connection, by their text: preparing one costs more than running it. The writer's thread alone.</summary>
internal sealed class KeptStatements(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, SqliteCommand> _commands = new(StringComparer.Ordinal);

    public SqliteConnection Connection { get; } = connection;

    public SqliteCommand Get(string sql, SqliteTransaction transaction)
    {
        if (!_commands.TryGetValue(sql, out var command))
        {
            command = Connection.CreateCommand();
            command.CommandText = sql;
            _commands.Add(sql, command);
        }
        command.Transaction = transaction;
        return command;
    }

    public void Dispose()
    {
        foreach (var command in _commands.Values)
            command.Dispose();
        _commands.Clear();
    }
}

/// <summary>What a kept statement is used with.</summary>
public static class Statements
{
    /// <summary>Gives a parameter its value for the next execution; null is SQL's NULL.</summary>
    public static SqliteCommand Set(this SqliteCommand command, string name, object? value)
    {
        var at = command.Parameters.IndexOf(name);
        if (at < 0)
            command.Parameters.AddWithValue(name, value ?? DBNull.Value);
        else
            command.Parameters[at].Value = value ?? DBNull.Value;
        return command;
    }
}
