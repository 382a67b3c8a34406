using System.Globalization;
using Gongzhi.Core.Query;
using Gongzhi.Privacy;
using Xunit;

namespace Gongzhi.Tests.Unit.Query;

/// <summary>Months, days and hours of moments by the clocks of a zone, against .NET's own calendar.</summary>
public sealed class ZoneSqlTests
{
    [Theory]
    [InlineData("UTC")]
    [InlineData("Asia/Shanghai")]
    [InlineData("Asia/Kathmandu")]
    [InlineData("Europe/Berlin")]
    [InlineData("America/St_Johns")]
    [InlineData("Australia/Lord_Howe")]
    public void Every_moment_is_read_as_the_zone_reads_it(string id)
    {
        var zone = TimeZoneInfo.FindSystemTimeZoneById(id);
        var random = new Random(7);
        var moments = new List<DateTime>();
        for (var i = 0; i < 2_000; i++)
            moments.Add(DateTime.UnixEpoch.AddSeconds(random.NextInt64(-2_208_988_800, 7_258_118_400)));
        // The seconds around the changes themselves.
        for (var hour = new DateTime(1986, 1, 1, 0, 0, 0, DateTimeKind.Utc); hour.Year < 1988; hour = hour.AddMinutes(30))
        {
            if (zone.GetUtcOffset(hour) != zone.GetUtcOffset(hour.AddMinutes(30)))
                moments.AddRange(Enumerable.Range(-2, 1_804).Select(s => hour.AddSeconds(s)));
        }
        using var duck = new DuckDB.NET.Data.DuckDBConnection("DataSource=:memory:");
        duck.Open();
        using var command = duck.CreateCommand();
        var hours = Transforms.Unit("t", Core.Catalog.FieldType.DateTime, "hour", id, static _ => Core.Territory.PlaceGroups.None)!.Value;
        var months = Transforms.Unit("t", Core.Catalog.FieldType.DateTime, "month", id, static _ => Core.Territory.PlaceGroups.None)!.Value;
        Assert.Equal((Core.Catalog.FieldType.DateTime, Core.Catalog.FieldType.Date), (hours.Type, months.Type));
        var values = string.Join(", ", moments.Select(m => string.Create(CultureInfo.InvariantCulture, $"({(m - DateTime.UnixEpoch).Ticks / 10})")));
        command.CommandText = $"SELECT epoch_us({ZoneSql.Of(id).Local("t")}), epoch_us({hours.Sql}), {months.Sql} FROM (SELECT make_timestamp(us) AS t FROM (VALUES {values}) v(us))";
        using var rows = command.ExecuteReader();

        foreach (var moment in moments)
        {
            Assert.True(rows.Read());
            var local = TimeZoneInfo.ConvertTimeFromUtc(moment, zone);
            Assert.Equal(local, DateTime.UnixEpoch.AddTicks(rows.GetInt64(0) * 10), TimeSpan.Zero);
            Assert.Equal(moment.AddTicks(-(local.Ticks % TimeSpan.TicksPerHour)), DateTime.UnixEpoch.AddTicks(rows.GetInt64(1) * 10));
            Assert.Equal(Generalise.Moment((moment - DateTime.UnixEpoch).Ticks / 10, "month", zone), rows.GetFieldValue<DateOnly>(2));
        }
    }

    [Fact]
    public async Task A_day_of_the_dataset_begins_at_its_midnight()
    {
        // In the default zone, Asia/Shanghai, the first is before midnight and the second after it; in UTC both are the first of January.
        Person[] people = [.. QueryWorld.Some(2, 1).Select((p, i) => p with { At = new DateTime(2026, 1, 1, 15, 59, 59, DateTimeKind.Utc).AddSeconds(i) })];
        using var world = new QueryWorld(people, 1, replaced: false);

        var days = (await world.Read("""{"groupBy":[{"field":"at","unit":"day","name":"day"}],"measures":[{"name":"n","function":"count"}],"orderBy":["day"]}""", QueryWorld.Permit())).Rows;
        var hours = (await world.Read("""{"groupBy":[{"field":"_time","unit":"hour","name":"hour"}],"measures":[{"name":"n","function":"count"}],"orderBy":["hour"]}""", QueryWorld.Permit())).Rows;

        Assert.Equal(["""["2026-01-01",1]""", """["2026-01-02",1]"""], days);
        Assert.Equal(["""["2026-01-01T15:00:00Z",1]""", """["2026-01-01T16:00:00Z",1]"""], hours);
    }
}
