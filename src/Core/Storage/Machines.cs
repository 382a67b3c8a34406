namespace Gongzhi.Core.Storage;

/// <summary>
/// The processes that have worked on the world, in SQL: so that one that is taken for dead can be put an end to for certain. Whoever is written down as ended writes nothing
/// any more, since each group looks for that under the writer's lock (<see cref="ChangeFeed.CatchUp"/>).
/// </summary>
public sealed class Machines(World world, NodeWriter writer)
{
    /// <summary>Makes this process known. Before it announces anything in a shared store.</summary>
    /// <param name="run">Tells it from every other process.</param>
    /// <param name="silo">Its address in the cluster.</param>
    public Task EnterAsync(string run, string silo, CancellationToken cancel) => writer.RunAsync(scope => writer.Feed.Enter(scope, run, silo), cancel);

    /// <summary>The address under which a process entered, and whether it has been ended; null when it never did.</summary>
    public (string Silo, bool Ended)? Find(string run)
    {
        using var connection = NodeDatabase.OpenReader(world);
        using var command = connection.Command("SELECT silo, ended FROM machine WHERE run = @run").Set("@run", run);
        using var reader = command.ExecuteReader();
        return reader.Read() ? (reader.GetString(0), reader.GetInt64(1) != 0) : null;
    }

    /// <summary>Puts an end to a process that is taken for dead: when this returns it has written the last it ever will.</summary>
    public Task EndAsync(string run, CancellationToken cancel) => writer.RunAsync(scope =>
    {
        using var command = scope.Command("UPDATE machine SET ended = 1 WHERE run = @run");
        command.Set("@run", run).ExecuteNonQuery();
    }, cancel);
}
