using Gongzhi.Core.Query;
using Gongzhi.Core.Storage;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

/// <summary>Answers that are made in a file first stay within their room on disk, and leave none of it taken.</summary>
public sealed class AnswerSpoolTests
{
    [Theory]
    [InlineData(QueryFormat.Xlsx)]
    [InlineData(QueryFormat.Parquet)]
    public async Task A_disk_that_is_nearly_full_takes_no_answer(QueryFormat format)
    {
        using var world = new QueryWorld(QueryWorld.Some(200, 1), limits: o => o with { FreeBytesMin = long.MaxValue / 2 });
        var refused = await Assert.ThrowsAsync<AnswerSpoolException>(() => world.Bytes("{}", QueryWorld.Permit(), format));
        Assert.Equal(StorageFull.Problem, refused.Problem);
        Assert.DoesNotContain(Directory.EnumerateFiles(world.TempDirectory), f => Path.GetFileName(f).StartsWith("answer-", StringComparison.Ordinal));
        // What needs no file is answered.
        Assert.NotEmpty(await world.Bytes("{}", QueryWorld.Permit(), QueryFormat.Csv));
    }

    [Fact]
    public void Each_answer_and_all_together_have_so_much_room()
    {
        using var directory = new Temp();
        var room = new SpoolRoom(new() { SegmentsDirectory = directory.Path, TempDirectory = directory.Path, AnswerMegabytes = 2, AnswersMegabytes = 4 });
        var block = new byte[1 << 20];
        using (var large = new AnswerSpool(directory.Path, room, anonymous: false))
        {
            large.Write(block);
            large.Write(block);
            large.Check();
            large.Write(block);
            Assert.Equal("query.spool", Assert.Throws<AnswerSpoolException>(large.Check).Problem.Code);
            Assert.Equal(2 << 20, large.Length);

            // The rest is taken by others, and then there is none.
            using var nobody = new AnswerSpool(directory.Path, room, anonymous: true);
            nobody.Write(block);
            using var more = new AnswerSpool(directory.Path, room, anonymous: true);
            more.Write(block);
            more.Check();
            using var full = new AnswerSpool(directory.Path, room, anonymous: false);
            full.Write(block);
            Assert.Equal(0, full.Length);
            Assert.Equal("query.busy", Assert.Throws<AnswerSpoolException>(full.Check).Problem.Code);
        }
        // All of it is given back.
        using (var first = new AnswerSpool(directory.Path, room, anonymous: true))
        using (var second = new AnswerSpool(directory.Path, room, anonymous: true))
        {
            first.Write(block);
            first.Write(block);
            first.Check();
            second.Write(block);
            Assert.Equal("query.busy", Assert.Throws<AnswerSpoolException>(second.Check).Problem.Code);
        }
        Assert.Empty(Directory.EnumerateFiles(directory.Path));
    }

    private sealed class Temp : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("gongzhi-spool-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
