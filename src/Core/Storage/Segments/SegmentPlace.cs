using System.Globalization;
using System.Text.RegularExpressions;

namespace Gongzhi.Core.Storage.Segments;

/// <summary>What sort of place segments are kept in.</summary>
public enum SegmentPlaceKind
{
    /// <summary>The world's own directory, which no other machine uses.</summary>
    Own,

    /// <summary>A directory that several machines mount.</summary>
    SharedDirectory,

    /// <summary>A bucket of S3-compatible object storage.</summary>
    S3,
}

/// <summary>
/// Where a world keeps its segments. Said as a URL: nothing (the world's own directory), a path or <c>file:///shared/dir</c> (a directory that several
/// machines mount), or <c>s3://bucket/prefix?endpoint=https://host:port&amp;region=…&amp;path-style=true</c>. The credentials are never part of it.
/// </summary>
public sealed partial record SegmentPlace
{
    /// <summary>The world's own directory.</summary>
    public static readonly SegmentPlace Own = new();

    /// <summary>Bytes of segments that a machine keeps of an object storage, unless told otherwise.</summary>
    public const long CacheBytesDefault = 10L << 30;

    private SegmentPlace()
    {
    }

    public SegmentPlaceKind Kind { get; private init; } = SegmentPlaceKind.Own;

    /// <summary>Absolute path of the shared directory; empty for the other kinds.</summary>
    public string Directory { get; private init; } = "";

    public string Bucket { get; private init; } = "";

    /// <summary>What the names of all objects begin with: empty, or ending in a slash.</summary>
    public string Prefix { get; private init; } = "";

    /// <summary>The server; null for Amazon's own in the region.</summary>
    public Uri? Endpoint { get; private init; }
    public string Region { get; private init; } = "us-east-1";

    /// <summary>Whether the bucket stands in the path and not in the host name, as most servers but Amazon's want it.</summary>
    public bool PathStyle { get; private init; }

    /// <summary>The access key's id.</summary>
    public string? Key { get; private init; }

    /// <summary>The access key's secret. Never printed, never logged.</summary>
    public string? Secret { get; private init; }

    /// <summary>Bytes of segments this machine keeps of an object storage. What queries at work need is kept beyond it.</summary>
    public long CacheBytesMax { get; private init; } = CacheBytesDefault;

    /// <summary>Whether other machines may use the place too.</summary>
    public bool Shared => Kind != SegmentPlaceKind.Own;

    /// <exception cref="FormatException">It is none of the forms above; the message says why, and holds no credentials.</exception>
    public static SegmentPlace Parse(string? url, string? key = null, string? secret = null, long cacheBytesMax = CacheBytesDefault)
    {
        if (string.IsNullOrWhiteSpace(url))
            return Own;
        if (Path.IsPathFullyQualified(url))
            return new() { Kind = SegmentPlaceKind.SharedDirectory, Directory = Path.GetFullPath(url) };
        if (!Uri.TryCreate(url, UriKind.Absolute, out var uri))
            throw new FormatException("Segments must be empty, an absolute path, file:///DIRECTORY or s3://BUCKET/PREFIX?endpoint=….");
        if (uri.UserInfo.Length > 0)
            throw new FormatException("Credentials do not belong into the URL of Segments; set SegmentsKey and SegmentsSecret.");
        return uri.Scheme switch
        {
            "file" when uri.Host.Length == 0 && uri.Query.Length == 0 => new() { Kind = SegmentPlaceKind.SharedDirectory, Directory = Path.GetFullPath(uri.LocalPath) },
            "s3" => Bucketed(uri, key, secret, cacheBytesMax),
            _ => throw new FormatException($"Segments cannot be kept at a {uri.Scheme} URL of this form; use an absolute path, file:///DIRECTORY or s3://BUCKET/PREFIX?endpoint=…."),
        };
    }

    /// <summary>The place without any credentials.</summary>
    public override string ToString() => Kind switch
    {
        SegmentPlaceKind.Own => "own directory",
        SegmentPlaceKind.SharedDirectory => Directory,
        _ => $"s3://{Bucket}/{Prefix}{(Endpoint is null ? "" : $" at {Endpoint.GetLeftPart(UriPartial.Authority)}")}",
    };

    private static SegmentPlace Bucketed(Uri uri, string? key, string? secret, long cacheBytesMax)
    {
        if (!BucketName().IsMatch(uri.Host))
            throw new FormatException("The bucket of Segments must have 3 to 63 lower-case letters, digits, dots and hyphens.");
        var prefix = Uri.UnescapeDataString(uri.AbsolutePath).Trim('/');
        if (prefix.Length > 0 && !PrefixName().IsMatch(prefix))
            throw new FormatException("The prefix of Segments may hold letters, digits, dots, hyphens, underscores and slashes.");
        if (string.IsNullOrEmpty(key) || string.IsNullOrEmpty(secret))
            throw new FormatException("An S3 bucket needs SegmentsKey and SegmentsSecret.");
        if (cacheBytesMax < 0)
            throw new FormatException("The cache of segments cannot be smaller than nothing.");
        var place = new SegmentPlace
        {
            Kind = SegmentPlaceKind.S3,
            Bucket = uri.Host,
            Prefix = prefix.Length == 0 ? "" : prefix + "/",
            Key = key,
            Secret = secret,
            CacheBytesMax = cacheBytesMax,
        };
        foreach (var pair in uri.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = (pair.Split('=')[0], Uri.UnescapeDataString(pair[(pair.IndexOf('=', StringComparison.Ordinal) + 1)..]));
            place = name switch
            {
                "endpoint" => place with { Endpoint = Server(value) },
                "region" when value.Length is > 0 and <= 64 => place with { Region = value },
                "path-style" when value is "true" or "false" => place with { PathStyle = value == "true" },
                _ => throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"The URL of Segments has a part that is not known or not well written: {name}. Known are endpoint, region and path-style.")),
            };
        }
        return place;
    }

    private static Uri Server(string value) =>
        Uri.TryCreate(value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" && uri is { UserInfo.Length: 0, Query.Length: 0, AbsolutePath: "/" }
            ? uri : throw new FormatException("The endpoint of Segments must be http://HOST:PORT or https://HOST:PORT.");

    [GeneratedRegex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    private static partial Regex BucketName();

    [GeneratedRegex("^[A-Za-z0-9._/-]{1,512}$")]
    private static partial Regex PrefixName();
}
