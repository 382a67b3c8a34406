using System.Globalization;

namespace Gongzhi.SampleCity;

/// <summary>The air at one station in one hour; amounts in tenths of a microgram per cubic metre.</summary>
/// <param name="ObservedAt">Local time of the city, +08:00, on the hour.</param>
/// <param name="Station">ST- and two digits.</param>
/// <param name="Place">Code of the station's community.</param>
/// <param name="Pm25E1">PM2.5.</param>
/// <param name="Pm10E1">PM10.</param>
/// <param name="No2E1">Nitrogen dioxide.</param>
/// <param name="O3E1">Ozone.</param>
public sealed record AirReading(string Station, string Place, DateTime ObservedAt, int Pm25E1, int Pm10E1, int No2E1, int O3E1);

/// <summary>Sixty days of hourly readings at twelve stations, with a stuck instrument, a silent station and three bad days.</summary>
internal static class AirQualityHistory
{
    public const string Dataset = "air-quality";
    public const int Stations = 12;
    public const int Days = 60;
    private const int StuckStation = 6;
    private const int StuckHours = 36;
    private const int SilentStation = 2;
    private const int SilentHours = 24;
    private const int BadHours = 72;
    private const int BadExtraE1 = 900;
    private static readonly DateTime First = new(2025, 11, 2);
    private static readonly DateTime Stuck = new(2025, 11, 20, 7, 0, 0);
    private static readonly DateTime Silent = new(2025, 12, 18, 3, 0, 0);
    private static readonly DateTime Bad = new(2025, 12, 4);

    // Traffic and boundary layer: percent of the daily mean, by hour. Ozone runs the other way, in daylight.
    private static readonly int[] Daily = [95, 90, 85, 82, 82, 88, 100, 118, 125, 120, 110, 100, 94, 90, 88, 88, 92, 102, 115, 122, 120, 114, 106, 100];
    private static readonly int[] Light = [55, 50, 46, 44, 42, 42, 45, 55, 72, 95, 120, 142, 158, 168, 170, 160, 142, 118, 98, 84, 75, 68, 63, 58];

    /// <summary>By hour, then station.</summary>
    public static (List<AirReading> Rows, PlantedTruth[] Truths) Build(ulong seed, IReadOnlyList<Place> communities)
    {
        var choice = new SampleRandom(seed, RandomStream.Stations);
        var places = Enumerable.Range(0, Stations)
            .Select(i => communities[(i * communities.Count + choice.Below(communities.Count)) / Stations].Code).ToArray();
        var random = new SampleRandom(seed, RandomStream.AirQuality);
        var drift = new int[Stations];
        var (regional, stuckValue) = (0, 0);
        var keys = new List<string>[] { [], [], [] };
        var rows = new List<AirReading>(Stations * Days * 24);
        for (var hour = 0; hour < Days * 24; hour++)
        {
            var at = First.AddHours(hour);
            regional = regional * 97 / 100 + random.Between(-22, 22);
            var bad = Within(at, Bad, BadHours);
            for (var station = 0; station < Stations; station++)
            {
                drift[station] = drift[station] * 90 / 100 + random.Between(-18, 18);
                var pm25 = Math.Max(15, (320 + regional + drift[station]) * Daily[at.Hour] / 100 + random.Between(-9, 9)) + (bad ? BadExtraE1 : 0);
                var pm10 = pm25 * 3 / 2 + random.Between(20, 180);
                var no2 = Math.Max(20, (280 + drift[station]) * Daily[at.Hour] / 100 + random.Between(-25, 25));
                var o3 = Math.Max(10, (420 - regional) * Light[at.Hour] / 100 + random.Between(-30, 30));
                var name = "ST-" + (station + 1).ToString("00", CultureInfo.InvariantCulture);
                var key = name + "|" + at.ToString("yyyy-MM-ddTHH:mm:ss'+08:00'", CultureInfo.InvariantCulture);
                if (bad)
                    keys[2].Add(key);
                if (station == SilentStation && Within(at, Silent, SilentHours))
                {
                    keys[1].Add(key);
                    continue;
                }
                if (station == StuckStation && Within(at, Stuck, StuckHours))
                {
                    stuckValue = stuckValue == 0 ? pm25 : stuckValue;
                    pm25 = stuckValue;
                    keys[0].Add(key);
                }
                rows.Add(new(name, places[station], at, pm25, pm10, no2, o3));
            }
        }
        return (rows,
        [
            Truth("stuck-sensor", "A PM2.5 instrument repeats one value for 36 hours", "一台细颗粒物仪器连续36小时读数不变", [places[StuckStation]], Stuck, StuckHours, keys[0]),
            Truth("silent-station", "A station sends nothing for a day (the keys are those missing)", "一个监测站整日无数据（所列键为缺失的行）", [places[SilentStation]], Silent, SilentHours, keys[1]),
            Truth("bad-air", "Three days of bad air at all stations: 90 µg/m³ of PM2.5 more", "全市连续三天空气污染：细颗粒物升高90微克每立方米", places, Bad, BadHours, keys[2]),
        ]);
    }

    private static bool Within(DateTime at, DateTime from, int hours) => at >= from && at < from.AddHours(hours);

    private static PlantedTruth Truth(string id, string en, string zh, string[] places, DateTime from, int hours, List<string> keys) =>
        new(id, Dataset, new(en, zh), places, City.Local(from), City.Local(from.AddHours(hours)), keys, []);
}
