using Microsoft.Data.Sqlite;

namespace Gongzhi.Core.Storage.Copying;

/// <summary>The state of a world that has a database file of its own, as one file from one moment, taken while a node works on it.</summary>
public static class StateFile
{
    /// <summary>Writes the copy, whole and flushed to the disk; holds up no writer. The file must not exist.</summary>
    public static void Take(World world, string path)
    {
        using (var connection = SqlStore.Of(world).OpenReader(world))
        {
            using var command = connection.Command("VACUUM INTO @path").Set("@path", path);
            command.CommandTimeout = 0;
            command.ExecuteNonQuery();
        }
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        file.Flush(flushToDisk: true);
    }

    /// <summary>How many entries of the log the state of a copy has.</summary>
    public static long Entries(string path)
    {
        using var connection = Open(path);
        using var command = connection.Command("SELECT size FROM log_state WHERE one = 1");
        return command.ExecuteScalar() as long? ?? 0;
    }

    /// <summary>The names of the segments that the state of a copy lists.</summary>
    public static IReadOnlyList<string> Segments(string path)
    {
        using var connection = Open(path);
        using var command = connection.Command("SELECT DISTINCT name FROM segment ORDER BY name");
        using var reader = command.ExecuteReader();
        var names = new List<string>();
        while (reader.Read())
            names.Add(reader.GetString(0));
        return names;
    }

    private static SqliteConnection Open(string path)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadOnly, Pooling = false }.ToString());
        connection.Open();
        return connection;
    }
}
