using System.Data;
using System.Data.Common;

namespace Gongzhi.Core.Storage.Copying;

/// <summary>Reads whole tables of either database in the one form, from one moment.</summary>
public sealed class TableReader : IDisposable
{
    private readonly DbConnection _connection;
    private readonly DbTransaction _moment;

    private TableReader(DbConnection connection) => (_connection, _moment) = (connection, connection.BeginSnapshot());

    /// <summary>Opens a world's database for reading; what is written meanwhile is not seen.</summary>
    public static TableReader Open(World world)
    {
        var connection = SqlStore.Of(world).OpenReadOnly(world);
        try
        {
            return new TableReader(connection);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Names of all tables that hold something of the world.</summary>
    public IReadOnlyList<string> Tables()
    {
        using var command = _connection.Command(SqlStore.Of(_connection) is PostgresStore
            ? "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY table_name"
            : "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name", _moment);
        var names = new List<string>();
        using var reader = command.ExecuteReader();
        while (reader.Read())
        {
            if (!PostgresTables.IsOwn(reader.GetString(0)))
                names.Add(reader.GetString(0));
        }
        return names;
    }

    /// <summary>The tables of a PostgreSQL database, in an order in which each comes after those it refers to.</summary>
    public IReadOnlyList<TableShape> Shapes() => PostgresTables.Shapes(_connection, _moment);

    /// <summary>The names of a table's columns.</summary>
    public IReadOnlyCollection<string> Columns(string table)
    {
        using var command = _connection.Command($"SELECT * FROM {PostgresTables.Quote(table)} LIMIT 0", _moment);
        using var reader = command.ExecuteReader(CommandBehavior.SchemaOnly);
        return [.. Enumerable.Range(0, reader.FieldCount).Select(reader.GetName)];
    }

    /// <summary>Every row of a table, one at a time, values in the order of its shape.</summary>
    public IEnumerable<object?[]> Rows(TableShape table)
    {
        using var command = _connection.Command($"SELECT {string.Join(", ", table.Columns.Select(c => PostgresTables.Quote(c.Name)))} FROM {PostgresTables.Quote(table.Name)}", _moment);
        using var reader = command.ExecuteReader(CommandBehavior.SequentialAccess);
        while (reader.Read())
        {
            var row = new object?[table.Columns.Count];
            for (var i = 0; i < row.Length; i++)
                row[i] = TableForm.Of(table.Columns[i].Kind, reader.GetValue(i));
            yield return row;
        }
    }

    /// <summary>The sum of a table's rows.</summary>
    public TableSum Sum(TableShape table)
    {
        var sum = new TableSummer();
        foreach (var row in Rows(table))
            sum.Add(row);
        return sum.Sum();
    }

    public void Dispose()
    {
        _moment.Dispose();
        _connection.Dispose();
    }
}
