// The DMA engine: the addresses of the beats of a transfer, SLOTS of them per cycle (dma.step). A run of
// bytes is rounded up to bursts of BURST_BEATS beats; the bytes by which it is have no enable.
module dma #(
    parameter int ADDRESS     = 32,  // of addresses, strides, and the counts of a transfer
    parameter int BEAT        = 32,  // bytes that have an address of their own
    parameter int SLOTS       = 1,   // beats per cycle
    parameter int BURST_BEATS = 2,
    parameter int PHASE       = BURST_BEATS > 2 ? $clog2(BURST_BEATS) : 1,
    parameter int TAKEN       = $clog2(SLOTS + 1)
) (
    input  logic                     clk,
    input  logic                     rst,
    input  logic                     start,
    input  logic       [ADDRESS-1:0] source,
    input  logic       [ADDRESS-1:0] target,
    input  logic       [ADDRESS-1:0] run_bytes,
    input  logic       [ADDRESS-1:0] runs,
    input  logic       [ADDRESS-1:0] source_stride,
    input  logic       [ADDRESS-1:0] target_stride,
    input  logic                     gather,
    input  logic [SLOTS*ADDRESS-1:0] queued,
    output logic                     ready,
    output logic                     done,
    output logic         [SLOTS-1:0] request,
    output logic [SLOTS*ADDRESS-1:0] origin,
    output logic [SLOTS*ADDRESS-1:0] destination,
    output logic    [SLOTS*BEAT-1:0] enable,
    output logic         [TAKEN-1:0] taken
);
  localparam logic [PHASE-1:0] LastPhase = PHASE'(BURST_BEATS - 1);
  localparam logic [ADDRESS+1:0] Beat = (ADDRESS + 2)'(BEAT);
  localparam int Wanted = $clog2(BEAT + 1);

  // the transfer, and where it is; idle where no run is left
  logic [ADDRESS-1:0] bytes_of_run, stride_of_source, stride_of_target;
  logic [ADDRESS-1:0] run_source, run_target, runs_left;
  logic [ADDRESS:0] offset;
  logic [PHASE-1:0] phase;
  logic gathers;

  // beat after beat: slot i begins where slot i - 1 left off
  logic [ADDRESS-1:0] source_at[SLOTS+1];
  logic [ADDRESS-1:0] target_at[SLOTS+1];
  logic [ADDRESS-1:0] runs_at[SLOTS+1];
  logic [ADDRESS:0] offset_at[SLOTS+1];
  logic [PHASE-1:0] phase_at[SLOTS+1];
  logic [TAKEN-1:0] taken_at[SLOTS+1];
  assign source_at[0] = run_source;
  assign target_at[0] = run_target;
  assign runs_at[0]   = runs_left;
  assign offset_at[0] = offset;
  assign phase_at[0]  = phase;
  assign taken_at[0]  = '0;
  for (genvar i = 0; i < SLOTS; i++) begin : slot
    logic active, whole, over;
    logic [ADDRESS+1:0] rest;  // of the run; its top bit: nothing is left
    logic [Wanted-1:0] wanted;
    logic [ADDRESS-1:0] next_source;
    assign active = runs_at[i] != 0;
    assign rest   = (ADDRESS + 2)'(bytes_of_run) - (ADDRESS + 2)'(offset_at[i]);
    assign whole  = rest > Beat;
    assign wanted = rest[ADDRESS+1] ? '0 : whole ? Wanted'(BEAT) : Wanted'(rest);
    assign over   = active && phase_at[i] == LastPhase && (rest[ADDRESS+1] || !whole);
    assign request[i]                      = active;
    assign origin[i*ADDRESS+:ADDRESS]      = source_at[i] + offset_at[i][ADDRESS-1:0];
    assign destination[i*ADDRESS+:ADDRESS] = target_at[i] + offset_at[i][ADDRESS-1:0];
    assign enable[i*BEAT+:BEAT]            = active ? ~({BEAT{1'b1}} << wanted) : '0;

    assign next_source = gathers ? queued[taken_at[i]*ADDRESS+:ADDRESS] : source_at[i] + stride_of_source;
    assign source_at[i+1] = over ? next_source : source_at[i];
    assign target_at[i+1] = over ? target_at[i] + stride_of_target : target_at[i];
    assign runs_at[i+1]   = over ? runs_at[i] - 1'b1 : runs_at[i];
    assign offset_at[i+1] = over ? '0 : active ? offset_at[i] + (ADDRESS + 1)'(BEAT) : offset_at[i];
    assign phase_at[i+1]  = !active ? phase_at[i] : phase_at[i] == LastPhase ? '0 : phase_at[i] + 1'b1;
    assign taken_at[i+1]  = taken_at[i] + TAKEN'(over && gathers && runs_at[i+1] != 0);
  end
  assign taken = taken_at[SLOTS];
  assign ready = runs_at[SLOTS] == 0;
  assign done  = request[0] & ready;

  logic taking;
  assign taking = start & ready;
  always_ff @(posedge clk) begin
    run_source       <= taking ? source : source_at[SLOTS];
    run_target       <= taking ? target : target_at[SLOTS];
    offset           <= taking ? '0 : offset_at[SLOTS];
    phase            <= taking ? '0 : phase_at[SLOTS];
    bytes_of_run     <= taking ? run_bytes : bytes_of_run;
    stride_of_source <= taking ? source_stride : stride_of_source;
    stride_of_target <= taking ? target_stride : stride_of_target;
    gathers          <= taking ? gather : gathers;
    if (rst) runs_left <= '0;
    else if (taking) runs_left <= run_bytes == 0 ? '0 : runs;
    else runs_left <= runs_at[SLOTS];
  end
endmodule
