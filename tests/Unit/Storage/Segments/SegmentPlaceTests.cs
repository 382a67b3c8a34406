using Gongzhi.Core;
using Gongzhi.Core.Storage.Segments;

namespace Gongzhi.Tests.Unit.Storage.Segments;

public sealed class SegmentPlaceTests
{
    [Fact]
    public void A_place_is_said_by_its_url()
    {
        Assert.Equal(SegmentPlaceKind.Own, SegmentPlace.Parse("").Kind);
        Assert.Equal((SegmentPlaceKind.SharedDirectory, "/srv/shared"), (SegmentPlace.Parse("/srv/shared/").Kind, SegmentPlace.Parse("file:///srv/shared").Directory.TrimEnd('/')));
        var place = SegmentPlace.Parse("s3://records/city/a?endpoint=https://s3.example:9000&region=cn-1&path-style=true", "id", "secret", 5);
        Assert.Equal(("records", "city/a/", "cn-1", true, 5L), (place.Bucket, place.Prefix, place.Region, place.PathStyle, place.CacheBytesMax));
        Assert.Equal(new Uri("https://s3.example:9000"), place.Endpoint);
        Assert.Equal(("", false), (SegmentPlace.Parse("s3://records", "id", "secret").Prefix, SegmentPlace.Parse("s3://records", "id", "secret").PathStyle));
    }

    [Theory]
    [InlineData("relative/dir", "absolute path")]
    [InlineData("file://host/dir", "file")]
    [InlineData("https://bucket.example/", "https")]
    [InlineData("s3://id:secret@records/", "Credentials")]
    [InlineData("s3://Records_", "bucket")]
    [InlineData("s3://records?zone=1", "zone")]
    [InlineData("s3://records?path-style=yes", "path-style")]
    [InlineData("s3://records?endpoint=ftp://x", "endpoint")]
    [InlineData("s3://records?endpoint=http://id:secret@x", "endpoint")]
    public void What_is_not_well_written_is_refused_without_saying_any_secret(string url, string part)
    {
        var refused = Assert.Throws<FormatException>(() => SegmentPlace.Parse(url, "id", "secret"));
        Assert.Contains(part, refused.Message, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("secret@", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bucket_needs_credentials() => Assert.Contains("SegmentsSecret", Assert.Throws<FormatException>(() => SegmentPlace.Parse("s3://records")).Message, StringComparison.Ordinal);

    [Fact]
    public void A_world_does_not_print_the_secret()
    {
        var world = new World { Name = "w", Kind = WorldKind.Test, DataDirectory = "/d", LedgerOrigin = "o", Segments = SegmentPlace.Parse("s3://records/p", "the-key-id", "the-secret") };
        Assert.DoesNotContain("the-secret", world.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("the-key-id", world.ToString(), StringComparison.Ordinal);
        Assert.Contains("s3://records/p/", world.ToString(), StringComparison.Ordinal);
    }
}
