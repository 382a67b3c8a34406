using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace Gongzhi.Tests.Unit.Storage;

/// <summary>A database made by one version of a program, opened by the next, by the one before, and by one that is cut off in the middle.</summary>
public sealed class SchemaUpgradeTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gongzhi-schema-");

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _directory.Delete(recursive: true);
    }

    public sealed class Note
    {
        public int Id { get; set; }
        public string Text { get; set; } = "";
        public int Stars { get; set; }
        public string Language { get; set; } = "";
        public DateTimeOffset? Seen { get; set; }
    }

    public sealed class Tag
    {
        public int Id { get; set; }
        public string Name { get; set; } = "";
    }

    /// <summary>The module as its first version had it: a note has a text.</summary>
    private sealed class First : IModelPart
    {
        public void Build(ModelBuilder model) => model.Entity<Note>(e =>
        {
            e.ToTable("note").IsNotAudited("a note of a test");
            e.Ignore(n => n.Stars).Ignore(n => n.Language).Ignore(n => n.Seen);
        });
    }

    /// <summary>And as its second has it: three columns, an index and a table more.</summary>
    private sealed class Second : IModelPart
    {
        public void Build(ModelBuilder model)
        {
            model.Entity<Note>(e =>
            {
                e.ToTable("note").IsNotAudited("a note of a test");
                e.HasIndex(n => n.Stars);
            });
            model.Entity<Tag>().ToTable("tag").IsNotAudited("a tag of a test");
        }
    }

    /// <summary>A hot table whose index and trigger changed between the versions.</summary>
    private sealed class Hot(bool second) : IHotSchema
    {
        public string Sql(SqlStore store) => "CREATE TABLE IF NOT EXISTS hot(a INTEGER NOT NULL" + (second ? ", b TEXT" : "") + ");\n"
            + $"CREATE INDEX IF NOT EXISTS hot_a ON hot(a{(second ? " DESC" : "")});\n"
            + $"CREATE TRIGGER IF NOT EXISTS hot_kept BEFORE DELETE ON hot BEGIN SELECT RAISE(ABORT, '{(second ? "kept" : "stays")}'); END;";
    }

    private World World(string? at = null) => new() { Name = "test", Kind = WorldKind.Test, DataDirectory = at ?? _directory.FullName, LedgerOrigin = "test.gongzhi.example/log" };

    private NodeDb Open(IModelPart part, string? at = null)
    {
        var options = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(options, World(at));
        return new NodeDb(options.Options, [part]);
    }

    private void Prepare(IModelPart part, string? at = null)
    {
        using var db = Open(part, at);
        NodeDatabase.PrepareWith(World(at), db, [new Hot(part is Second)], [], 1);
    }

    private void PrepareWith(IEnumerable<SchemaStep> steps, int latest, string? at = null)
    {
        using var db = Open(new Second(), at);
        NodeDatabase.PrepareWith(World(at), db, [new Hot(true)], steps, latest);
    }

    private void FirstWithNotes()
    {
        Prepare(new First());
        using var db = Open(new First());
        db.AddRange(new Note { Text = "一" }, new Note { Text = "two" });
        db.SaveChanges();
    }

    private string Copy => World().DatabasePath + SchemaUpgrade.CopySuffix;

    private object? Scalar(string sql, string? database = null)
    {
        using var connection = new SqliteConnection("Pooling=False;Data Source=" + (database ?? World().DatabasePath));
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    [Fact]
    public void An_older_database_gets_what_is_missing_and_keeps_what_it_holds()
    {
        FirstWithNotes();
        Prepare(new Second());
        using (var db = Open(new Second()))
        {
            Assert.Equal([("一", 0, "", (DateTimeOffset?)null), ("two", 0, "", null)], db.Set<Note>().OrderBy(n => n.Id).AsEnumerable().Select(n => (n.Text, n.Stars, n.Language, n.Seen)));
            db.Add(new Tag { Name = "new" });
            db.Add(new Note { Text = "三", Stars = 5, Language = "zh", Seen = DateTimeOffset.UnixEpoch });
            db.SaveChanges();
        }
        Assert.Equal(1L, Scalar("SELECT count(*) FROM sqlite_master WHERE name = 'hot_a' AND sql LIKE '%DESC%'"));
        Assert.Equal(1L, Scalar("SELECT count(*) FROM sqlite_master WHERE name = 'hot_kept' AND sql LIKE '%kept%'"));
        // The copy is the database as it was, whole in one file.
        Assert.Equal(2L, Scalar("SELECT count(*) FROM note", Copy));
        Assert.Equal(0L, Scalar("SELECT count(*) FROM sqlite_master WHERE name = 'tag'", Copy));
    }

    [Fact]
    public void A_database_that_fits_is_left_as_it_is_and_not_copied()
    {
        FirstWithNotes();
        Prepare(new First());
        Assert.False(File.Exists(Copy));
        Prepare(new Second());
        File.Delete(Copy);
        Prepare(new Second());
        Assert.False(File.Exists(Copy));
    }

    [Fact]
    public void A_newer_database_is_refused_in_one_sentence_and_not_touched()
    {
        Prepare(new Second());
        var before = Scalar("SELECT group_concat(sql) FROM sqlite_master");
        var refused = Assert.Throws<SchemaException>(() => Prepare(new First()));
        Assert.StartsWith("The database was written by a newer program (", refused.Message, StringComparison.Ordinal);
        Assert.Equal(before, Scalar("SELECT group_concat(sql) FROM sqlite_master"));

        Scalar("PRAGMA user_version=7");
        Assert.Contains("version 7", Assert.Throws<SchemaException>(() => Prepare(new Second())).Message, StringComparison.Ordinal);
        Assert.Equal(7L, Scalar("PRAGMA user_version"));
    }

    [Fact]
    public void A_column_of_another_type_is_refused_rather_than_guessed()
    {
        Prepare(new First());
        Scalar("ALTER TABLE note ADD COLUMN Stars TEXT");
        Assert.Contains("Stars", Assert.Throws<SchemaException>(() => Prepare(new Second())).Message, StringComparison.Ordinal);
        Assert.Equal(0L, Scalar("SELECT count(*) FROM sqlite_master WHERE name = 'tag'"));
    }

    [Fact]
    public void Steps_run_once_in_order_before_what_is_missing_is_added()
    {
        FirstWithNotes();
        SchemaStep[] steps = [new(2, "ALTER TABLE note ADD COLUMN Stars INTEGER NOT NULL DEFAULT 3"), new(3, "UPDATE note SET Stars = Stars * 2")];
        PrepareWith(steps, 3);
        PrepareWith(steps, 3);
        Assert.Equal((3L, 12L), ((long)Scalar("PRAGMA user_version")!, (long)Scalar("SELECT sum(Stars) FROM note")!));
        Assert.Throws<SchemaException>(() => Prepare(new Second()));

        // A fresh one is made as the last version has it, without any step.
        var fresh = _directory.CreateSubdirectory("fresh").FullName;
        PrepareWith([new(2, "this is no SQL")], 2, fresh);
        Assert.Equal(2L, Scalar("PRAGMA user_version", World(fresh).DatabasePath));
    }

    [Fact]
    public void A_step_that_fails_leaves_everything_as_it_was_and_the_next_start_does_it_all()
    {
        FirstWithNotes();
        Assert.Throws<SqliteException>(() => PrepareWith([new(2, "UPDATE note SET Text = 'gone'"), new(3, "UPDATE nowhere SET x = 1")], 3));
        Assert.Equal((1L, 0L), ((long)Scalar("PRAGMA user_version")!, (long)Scalar("SELECT count(*) FROM note WHERE Text = 'gone'")!));
        PrepareWith([new(2, "UPDATE note SET Text = Text || '!'"), new(3, "UPDATE note SET Text = Text || '?'")], 3);
        Assert.Equal(2L, Scalar("SELECT count(*) FROM note WHERE Text LIKE '%!?'"));
    }

    /// <summary>What lies on the disk when the power goes between two steps: the files as they are at that moment, opened again elsewhere.</summary>
    [Fact]
    public void Cut_off_in_the_middle_the_old_database_is_there_and_the_upgrade_begins_again()
    {
        FirstWithNotes();
        var after = _directory.CreateSubdirectory("after-the-crash").FullName;
        PrepareWith(CutOff(), 3);

        Assert.Equal((1L, 2L), ((long)Scalar("PRAGMA user_version", World(after).DatabasePath)!, (long)Scalar("SELECT count(*) FROM note WHERE Text NOT LIKE '%!'", World(after).DatabasePath)!));
        PrepareWith([new(2, "UPDATE note SET Text = Text || '!'"), new(3, "SELECT 1")], 3, after);
        Assert.Equal((3L, 2L), ((long)Scalar("PRAGMA user_version", World(after).DatabasePath)!, (long)Scalar("SELECT count(*) FROM note WHERE Text LIKE '%!' AND Stars = 0", World(after).DatabasePath)!));

        IEnumerable<SchemaStep> CutOff()
        {
            yield return new(2, "UPDATE note SET Text = Text || '!'");
            foreach (var file in Directory.GetFiles(_directory.FullName))
                File.Copy(file, Path.Combine(after, Path.GetFileName(file)));
            yield return new(3, "SELECT 1");
        }
    }
}
