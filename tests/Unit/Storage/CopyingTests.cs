using Gongzhi.Core;
using Gongzhi.Core.Audit;
using Gongzhi.Core.Catalog;
using Gongzhi.Core.Policy;
using Gongzhi.Core.Records;
using Gongzhi.Core.Storage;
using Gongzhi.Core.Storage.Copying;
using Gongzhi.Core.Territory;
using Gongzhi.Tests.Shared;
using Microsoft.EntityFrameworkCore;

namespace Gongzhi.Tests.Unit.Storage;

/// <summary>Whole tables of a SQLite file in a PostgreSQL database: every kind of value, an interrupted copy, a source that changed meanwhile.</summary>
public sealed class CopyingTests : IDisposable
{
    private const string From = "here";
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("gongzhi-copying-");

    public CopyingTests()
    {
        if (PostgresServer.Missing is { } missing)
            Assert.Skip(missing);
        Prepare(Old);
        Prepare(New);
    }

    private World Old => World("old") with { Database = null };
    private World New => World("new") with { Database = TestStore.Postgres(Path.Combine(_root.FullName, "new")) };

    public void Dispose()
    {
        TestStore.Release();
        TestStore.Drop(Path.Combine(_root.FullName, "new"));
        _root.Delete(recursive: true);
    }

    public sealed class Shelf
    {
        public string Id { get; set; } = "";
        public string? Under { get; set; }
    }

    public sealed class Book
    {
        public int Id { get; set; }
        public string Shelf { get; set; } = "";
        public string? Title { get; set; }
        public byte[]? Cover { get; set; }
        public bool Lent { get; set; }
        public double Weight { get; set; }
        public DateTime? Bought { get; set; }
        public Slip Slip { get; set; } = new();
    }

    public sealed class Slip
    {
        public string Text { get; set; } = "";
        public int Days { get; set; }
    }

    private sealed class Library : IModelPart
    {
        public void Build(ModelBuilder model)
        {
            model.Entity<Shelf>(e =>
            {
                e.ToTable("a_shelf").IsNotAudited("a shelf of a test");
                e.HasOne<Shelf>().WithMany().HasForeignKey(s => s.Under);
            });
            model.Entity<Book>(e =>
            {
                // By its name before the table it refers to.
                e.ToTable("a_book").IsNotAudited("a book of a test");
                e.HasOne<Shelf>().WithMany().HasForeignKey(b => b.Shelf);
                e.OwnsOne(b => b.Slip, s => s.ToJson());
            });
        }
    }

    [Fact]
    public void Every_kind_of_value_arrives_as_it_was()
    {
        Fill();
        using (var source = TableReader.Open(Old))
        using (var target = PostgresTables.Open(New, From))
        {
            var shapes = Shapes(source, target);
            Assert.True(shapes.FindIndex(s => s.Name == "a_shelf") < shapes.FindIndex(s => s.Name == "a_book"));
            foreach (var shape in shapes)
                Assert.Equal(source.Sum(shape), target.Fill(shape, source.Rows(shape), CancellationToken.None));
            target.SetCounters();
            target.Finish();
            using var arrived = TableReader.Open(New);
            foreach (var shape in shapes)
                Assert.Equal(source.Sum(shape), arrived.Sum(shape));
        }
        using (var db = Open(New))
        {
            var books = db.Set<Book>().OrderBy(b => b.Id).ToList();
            Assert.Equal(["一", null, "long"], books.Select(b => b.Title is { Length: > 9 } ? "long" : b.Title));
            Assert.Equal([0, 255, 1], books[0].Cover);
            Assert.Equal(new DateTime(2026, 3, 1, 10, 20, 30, DateTimeKind.Utc).AddMicroseconds(123_456), books[0].Bought);
            Assert.Equal(0.1, books[0].Weight);
            Assert.Equal(("a \"b\" é < 共", 14), (books[0].Slip.Text, books[0].Slip.Days));
            // What the database counts by itself goes on after what there is.
            var next = new Book { Shelf = "top" };
            db.Add(next);
            db.SaveChanges();
            Assert.Equal(books[^1].Id + 1, next.Id);
        }
    }

    [Fact]
    public void One_changed_value_changes_the_sum()
    {
        Fill();
        using var source = TableReader.Open(Old);
        using var target = PostgresTables.Open(New, From);
        foreach (var shape in Shapes(source, target))
            target.Fill(shape, source.Rows(shape), CancellationToken.None);
        var book = Shapes(source, target).Single(s => s.Name == "a_book");
        var before = source.Sum(book);
        foreach (var change in (string[])["lent = NOT lent", "weight = weight + 1", "title = title || ' '", "cover = '\\x00ff02'", "bought = bought + interval '1 microsecond'", "slip = jsonb_set(slip, '{Days}', '15')", "title = NULL"])
        {
            Assert.Equal(1, TestStore.Tamper(New, $"UPDATE a_book SET {change} WHERE id = 1"));
            using var arrived = TableReader.Open(New);
            Assert.NotEqual(before, arrived.Sum(book));
            before = arrived.Sum(book);
        }
    }

    [Fact]
    public void An_interrupted_copy_goes_on_and_a_changed_source_starts_it_over()
    {
        Fill();
        using (var source = TableReader.Open(Old))
        using (var target = PostgresTables.Open(New, From))
        {
            Assert.True(NodeDatabase.IsUnfinishedCopy(New));
            var shapes = Shapes(source, target);
            // A source that fails in the middle of a table leaves neither rows nor a note.
            Assert.Throws<IOException>(() => target.Fill(shapes.Single(s => s.Name == "a_shelf"), Broken(source.Rows(shapes.Single(s => s.Name == "a_shelf"))), CancellationToken.None));
            foreach (var shape in shapes)
            {
                Assert.Null(target.Done(shape.Name));
                target.Fill(shape, source.Rows(shape), CancellationToken.None);
            }
        }
        using (var db = Open(Old))
        {
            db.Add(new Shelf { Id = "later", Under = "top" });
            db.SaveChanges();
        }
        using (var source = TableReader.Open(Old))
        using (var target = PostgresTables.Open(New, From))
        {
            var shapes = Shapes(source, target);
            Assert.Equal(["a_shelf"], shapes.Where(s => target.Done(s.Name) != source.Sum(s)).Select(s => s.Name));
            target.StartOver(shapes);
            Assert.All(shapes, s => Assert.Null(target.Done(s.Name)));
            foreach (var shape in shapes)
                target.Fill(shape, source.Rows(shape), CancellationToken.None);
            using var arrived = TableReader.Open(New);
            Assert.Equal(3, arrived.Sum(shapes.Single(s => s.Name == "a_shelf")).Rows);
            target.Finish();
        }
        Assert.False(NodeDatabase.IsUnfinishedCopy(New));
        Assert.Contains("to the end", Assert.Throws<SchemaException>(() => PostgresTables.Open(New, From)).Message, StringComparison.Ordinal);
        Assert.Contains("holds a world already", Assert.Throws<SchemaException>(() => PostgresTables.Open(New, "elsewhere")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_database_that_holds_something_is_refused_and_left_as_it_is()
    {
        Assert.Equal(1, TestStore.Tamper(New, "INSERT INTO place(code, definition) VALUES ('12', '{}')"));
        Assert.Contains("holds a world already", Assert.Throws<SchemaException>(() => PostgresTables.Open(New, From)).Message, StringComparison.Ordinal);
        Assert.False(NodeDatabase.IsUnfinishedCopy(New));
    }

    [Fact]
    public void Json_is_what_it_means()
    {
        Assert.Equal("""{"a":[1,1.5,null,true],"b":"共 \" <"}""", TableForm.Of(ColumnKind.Json, """ { "b": "\u5171 \" \u003c", "a": [1.0, 1.50, null, true] } """));
        Assert.Equal("""{"a":2}""", TableForm.Of(ColumnKind.Json, """{"a":1,"a":2}"""));
        Assert.Equal("""[100,0.001,1e400]""", TableForm.Of(ColumnKind.Json, "[1e2, 1E-3, 1e400]"));
        Assert.Throws<InvalidDataException>(() => TableForm.Of(ColumnKind.Json, "{"));
    }

    private static IEnumerable<object?[]> Broken(IEnumerable<object?[]> rows)
    {
        yield return rows.First();
        throw new IOException("The source fails.");
    }

    private static List<TableShape> Shapes(TableReader source, PostgresTables target)
    {
        var names = source.Tables().ToHashSet(StringComparer.OrdinalIgnoreCase);
        return [.. target.Shapes().Where(s => names.Contains(s.Name))];
    }

    private void Fill()
    {
        using var db = Open(Old);
        db.AddRange(new Shelf { Id = "top" }, new Shelf { Id = "low", Under = "top" });
        db.SaveChanges();
        db.AddRange(
            new Book
            {
                Shelf = "low", Title = "一", Cover = [0, 255, 1], Lent = true, Weight = 0.1,
                Bought = new DateTime(2026, 3, 1, 10, 20, 30, DateTimeKind.Utc).AddMicroseconds(123_456), Slip = new() { Text = "a \"b\" é < 共", Days = 14 },
            },
            new Book { Shelf = "top" },
            new Book { Shelf = "top", Title = new string('长', 100_000), Cover = new byte[1_000_000], Weight = double.MinValue });
        db.SaveChanges();
    }

    private World World(string name) => new() { Name = "test", Kind = WorldKind.Test, DataDirectory = Directory.CreateDirectory(Path.Combine(_root.FullName, name)).FullName, LedgerOrigin = "test.gongzhi.example/log" };

    private static NodeDb Open(World world)
    {
        var options = new DbContextOptionsBuilder<NodeDb>();
        NodeDatabase.Configure(options, world);
        return new NodeDb(options.Options, [new CatalogModel(), new Library()]);
    }

    private static void Prepare(World world)
    {
        using var db = Open(world);
        NodeDatabase.Prepare(world, db, [new RecordSchema(), new ErasureSchema(), new LogStateSchema(), new PlaceSchema(), new PolicyEpoch()]);
    }
}
