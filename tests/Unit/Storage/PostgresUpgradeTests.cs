using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Gongzhi.Tests.Shared;
using Microsoft.EntityFrameworkCore;
using Npgsql;

namespace Gongzhi.Tests.Unit.Storage;

/// <summary>As <see cref="SchemaUpgradeTests"/>, in a database that machines of two versions share while they are replaced one after another.</summary>
public sealed class PostgresUpgradeTests : IAsyncLifetime
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gongzhi-schema-");

    public ValueTask InitializeAsync()
    {
        Assert.SkipUnless(PostgresServer.Missing is null, PostgresServer.Missing ?? "");
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        TestStore.Drop(_directory.FullName);
        _directory.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>The first version of a module: a note has a text.</summary>
    private sealed class First : IModelPart
    {
        public void Build(ModelBuilder model) => model.Entity<SchemaUpgradeTests.Note>(e =>
        {
            e.ToTable("note").IsNotAudited("a note of a test");
            e.Ignore(n => n.Stars).Ignore(n => n.Language).Ignore(n => n.Seen);
        });
    }

    /// <summary>The second: three columns, an index and a table more.</summary>
    private sealed class Second : IModelPart
    {
        public void Build(ModelBuilder model)
        {
            model.Entity<SchemaUpgradeTests.Note>(e =>
            {
                e.ToTable("note").IsNotAudited("a note of a test");
                e.HasIndex(n => n.Stars);
            });
            model.Entity<SchemaUpgradeTests.Tag>().ToTable("tag").IsNotAudited("a tag of a test");
        }
    }

    /// <summary>A hot table that got a column, an index and another guard.</summary>
    private sealed class Hot(bool second) : IHotSchema
    {
        public string Sql(SqlStore store) => "CREATE TABLE IF NOT EXISTS hot(a bigint NOT NULL" + (second ? ", b text" : "") + ");\n"
            + (second ? "CREATE INDEX IF NOT EXISTS hot_b ON hot(b);\n" : "")
            + $"CREATE OR REPLACE TRIGGER hot_kept BEFORE DELETE ON hot EXECUTE FUNCTION gz_refuse('{(second ? "kept" : "stays")}');";
    }

    private World World => new()
    {
        Name = "test", Kind = WorldKind.Test, DataDirectory = _directory.FullName, LedgerOrigin = "test.gongzhi.example/log", Database = TestStore.Postgres(_directory.FullName),
    };

    private NodeDb Open(IModelPart part)
    {
        var options = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(options, World);
        return new NodeDb(options.Options, [part]);
    }

    private void Prepare(IModelPart part, IEnumerable<SchemaStep>? steps = null, int latest = 1)
    {
        using var db = Open(part);
        NodeDatabase.PrepareWith(World, db, [new Hot(part is Second)], steps ?? [], latest);
    }

    private object? Scalar(string sql)
    {
        using var connection = new NpgsqlConnection(World.Database!.ConnectionString);
        connection.Open();
        using var command = new NpgsqlCommand(sql, connection);
        return command.ExecuteScalar();
    }

    [Fact]
    public void What_is_missing_is_added_while_a_machine_of_the_version_before_goes_on()
    {
        Prepare(new First());
        using var old = Open(new First());
        old.Add(new SchemaUpgradeTests.Note { Text = "一" });
        old.SaveChanges();

        Prepare(new Second());
        // The older program knows nothing of the new columns, reads and writes as before.
        old.Add(new SchemaUpgradeTests.Note { Text = "two" });
        old.SaveChanges();
        Assert.Equal(2, old.Set<SchemaUpgradeTests.Note>().Count());
        using (var db = Open(new Second()))
        {
            Assert.Equal([("一", 0, "", (DateTimeOffset?)null), ("two", 0, "", null)],
                db.Set<SchemaUpgradeTests.Note>().OrderBy(n => n.Id).AsEnumerable().Select(n => (n.Text, n.Stars, n.Language, n.Seen)));
            db.Add(new SchemaUpgradeTests.Tag { Name = "new" });
            db.Add(new SchemaUpgradeTests.Note { Text = "三", Stars = 5, Language = "zh", Seen = DateTimeOffset.UnixEpoch });
            db.SaveChanges();
        }
        Assert.Equal("IX_note_stars,hot_b", Scalar("SELECT string_agg(indexname, ',' ORDER BY indexname COLLATE \"C\") FROM pg_indexes WHERE tablename IN ('note', 'hot') AND indexname NOT LIKE '%pk%' AND indexname NOT LIKE 'PK%'"));
        Assert.Contains("kept", (string)Scalar("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'hot_kept'")!, StringComparison.Ordinal);
        // Whoever starts next finds it as it is.
        var made = Scalar("SELECT xmin::text FROM schema_made");
        Prepare(new Second());
        Assert.Equal(made, Scalar("SELECT xmin::text FROM schema_made"));
    }

    [Fact]
    public void The_version_before_does_not_start_any_more_and_changes_nothing()
    {
        Prepare(new Second());
        Assert.StartsWith("The database was written by a newer program (its table ", Assert.Throws<SchemaException>(() => Prepare(new First())).Message, StringComparison.Ordinal);
        Assert.Contains("kept", (string)Scalar("SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'hot_kept'")!, StringComparison.Ordinal);

        Scalar("UPDATE node_schema SET version = 7");
        Assert.Contains("version 7", Assert.Throws<SchemaException>(() => Prepare(new Second())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tables_that_only_the_newer_knows_are_refused_too_and_those_of_others_are_not()
    {
        Prepare(new Second());
        Scalar("CREATE VIEW of_the_operator AS SELECT 1 AS one");
        Prepare(new Second(), [new(2, "SELECT 1", Postgres: "SELECT 1")], 2);
        Scalar("CREATE TABLE of_a_later_version(id bigint)");
        Assert.Contains("a table of_a_later_version", Assert.Throws<SchemaException>(() => Prepare(new Second(), [new(3, "", Postgres: "SELECT 1")], 3)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Steps_run_once_in_order_and_one_that_is_not_for_PostgreSQL_is_never_passed_over()
    {
        Prepare(new First());
        using (var db = Open(new First()))
        {
            db.Add(new SchemaUpgradeTests.Note { Text = "a" });
            db.SaveChanges();
        }
        SchemaStep[] steps =
        [
            new(2, "", Postgres: "UPDATE note SET text = text || '!'"),
            new(3, "", IfTable: "nowhere", Postgres: "this is no SQL"),
            new(4, "", Postgres: "UPDATE note SET text = text || '?'"),
        ];
        Prepare(new Second(), steps, 4);
        Prepare(new Second(), steps, 4);
        Assert.Equal("a!?", Scalar("SELECT text FROM note"));
        Assert.Equal(4L, Scalar("SELECT version FROM node_schema"));

        // One fails: nothing of it and of those before it was kept.
        Assert.Throws<PostgresException>(() => Prepare(new Second(), [.. steps, new(5, "", Postgres: "UPDATE note SET text = 'gone'"), new(6, "", Postgres: "this is no SQL")], 6));
        Assert.Contains("no step", Assert.Throws<SchemaException>(() => Prepare(new Second(), [.. steps, new(5, "UPDATE note SET text = 'gone'")], 5)).Message, StringComparison.Ordinal);
        Assert.Equal(("a!?", 4L), (Scalar("SELECT text FROM note"), Scalar("SELECT version FROM node_schema")));
    }
}
