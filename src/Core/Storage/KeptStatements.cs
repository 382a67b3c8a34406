using System.Data.Common;

namespace Gongzhi.Core.Storage;

/// <summary>The prepared statements of the writer's connection, by their text: preparing one costs more than running it. The writer's thread alone.</summary>
internal sealed class KeptStatements(DbConnection connection) : IDisposable
{
    private readonly Dictionary<string, DbCommand> _commands = new(StringComparer.Ordinal);

    public DbConnection Connection { get; } = connection;

    public DbCommand Get(string sql, DbTransaction transaction)
    {
        if (!_commands.TryGetValue(sql, out var command))
            _commands.Add(sql, command = Connection.Command(sql));
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

/// <summary>Statements as they are written here: a text, parameters by name, values as the database holds them.</summary>
public static class Statements
{
    public static DbCommand Command(this DbConnection connection, string sql, DbTransaction? transaction = null)
    {
        var command = connection.CreateCommand();
        command.CommandText = sql;
        command.Transaction = transaction;
        return command;
    }

    /// <summary>Gives a parameter its value for the next execution; null is SQL's NULL, a truth value 0 or 1, a whole number 64 bits.</summary>
    public static DbCommand Set(this DbCommand command, string name, object? value)
    {
        var at = command.Parameters.IndexOf(name);
        (at < 0 ? command.Parameter(name) : command.Parameters[at]).Value = Stored(value);
        return command;
    }

    /// <summary>Adds a parameter whose value is set before each execution.</summary>
    public static DbParameter Parameter(this DbCommand command, string name)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        command.Parameters.Add(parameter);
        return parameter;
    }

    /// <summary>The answer of a statement that selects one truth value.</summary>
    public static bool IsTrue(this DbCommand command) => command.ExecuteScalar() is true or 1L;

    internal static object Stored(object? value) => value switch
    {
        null => DBNull.Value,
        bool b => b ? 1L : 0L,
        int or uint or short or byte => Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture),
        _ => value,
    };
}
